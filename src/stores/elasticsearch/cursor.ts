import { Fault } from '../../base/index.ts';

// Where a page ends: time, request and record of its last row. Opaque to clients; whatever else comes is refused.

export interface CursorPlace {
  readonly timeUnixNano: bigint;
  readonly request: string;
  readonly record: number;
}

export function encodeCursor({ timeUnixNano, request, record }: CursorPlace): string {
  return Buffer.from(`${timeUnixNano} ${request} ${record}`).toString('base64url');
}

/** @throws Fault `malformed`, parameter `cursor`. */
export function decodeCursor(cursor: string): CursorPlace {
  const text = Buffer.from(cursor, 'base64url').toString('latin1');
  const match = /^(\d{1,19}|1[0-8]\d{18}) ([0-9a-f]{32}) (\d{1,9})$/.exec(text);
  if (match === null) throw new Fault('malformed', 'the cursor was not made by this list', { parameter: 'cursor' });
  return { timeUnixNano: BigInt(match[1]!), request: match[2]!, record: Number(match[3]) };
}
