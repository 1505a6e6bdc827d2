// What finds again what is known of series, by the bytes that it was made of. Pure, and hot.

/** FNV-1a, from `seed` on. */
export function hashBytes(bytes: Uint8Array, start: number, end: number, seed: number): number {
  let hashed = seed ^ (end - start);
  for (let at = start; at < end; at++) hashed = Math.imul(hashed ^ bytes[at]!, 0x01000193);
  return hashed;
}

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let at = 0; at < a.length; at++) if (a[at] !== b[at]) return false;
  return true;
}

/** @param pairs Ranges of `body` that together are to be `attributes`. */
export function sameAttributes(attributes: Uint8Array, body: Uint8Array, pairs: readonly number[]): boolean {
  let at = 0;
  for (let pair = 0; pair < pairs.length; pair += 2) {
    for (let from = pairs[pair]!; from < pairs[pair + 1]!; from++, at++) {
      if (attributes[at] !== body[from]) return false;
    }
  }
  return at === attributes.length;
}

export function sameNumbers(a: readonly number[], b: readonly number[]): boolean {
  if (a.length !== b.length) return false;
  for (let at = 0; at < a.length; at++) if (!Object.is(a[at], b[at])) return false;
  return true;
}
