import { Fault } from '../base/index.ts';
import type { TimeRange } from '../stores/contract.ts';
import { cursorCharsMax } from './limits.ts';

// The cursor that a client gets holds the store's own cursor and the range of the first page: `now-1h` would otherwise
// mean another hour for each page, and rows would fall out between two of them.

/** @param next The store's cursor; undefined at the end. @returns null at the end. */
export function encodeCursor(next: string | undefined, range: TimeRange): string | null {
  if (next === undefined) return null;
  const parts = [String(range.startUnixNano), String(range.endUnixNano), next];
  return Buffer.from(JSON.stringify(parts)).toString('base64url');
}

/** @throws Fault `malformed` with the parameter `cursor` for one that was not made by `encodeCursor`. */
export function decodeCursor(cursor: string): { readonly next: string; readonly range: TimeRange } {
  const parts = cursor.length <= cursorCharsMax ? parse(Buffer.from(cursor, 'base64url').toString()) : undefined;
  if (Array.isArray(parts) && parts.length === 3) {
    const [start, end, next] = parts as unknown[];
    if (isNanos(start) && isNanos(end) && typeof next === 'string') {
      const range = { startUnixNano: BigInt(start), endUnixNano: BigInt(end) };
      if (range.startUnixNano < range.endUnixNano) return { next, range };
    }
  }
  throw new Fault('malformed', 'expected the nextCursor of an earlier answer', { parameter: 'cursor' });
}

function isNanos(value: unknown): value is string {
  return typeof value === 'string' && /^\d{1,19}$/.test(value) && BigInt(value) < 1n << 63n;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // not JSON: not a cursor of ours, which the caller says
  }
}
