import { Fault } from '../../base/index.ts';

// Cursors: the last row of a page, opaque to clients. base64url of JSON; whatever else comes is refused.

export function encodeCursor(fields: readonly (string | number)[]): string {
  return Buffer.from(JSON.stringify(fields)).toString('base64url');
}

/** @param shape a pattern for each field as text. @throws Fault `malformed`, parameter `cursor`. */
export function decodeCursor(cursor: string, shape: readonly RegExp[]): string[] {
  let fields: unknown;
  try {
    fields = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'));
  } catch {
    throw notOurs();
  }
  if (!Array.isArray(fields) || fields.length !== shape.length) throw notOurs();
  const texts = fields.map((field) => (typeof field === 'string' || typeof field === 'number' ? String(field) : ''));
  if (!texts.every((text, index) => shape[index]!.test(text))) throw notOurs();
  return texts;
}

function notOurs(): Fault {
  return new Fault('malformed', 'the cursor was not made by this list', { parameter: 'cursor' });
}

/** An unsigned 64-bit time. */
export const timeShape = /^\d{1,19}$|^1[0-8]\d{18}$/;
export const uuidShape = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
export const indexShape = /^\d{1,9}$/;
