/**
 * Bits of the code of each byte, and of the end of a string. The code is canonical: within a length, codes ascend with
 * the byte, and lengths follow each other, so the lengths are all there is to know. Source: RFC 7541, appendix B.
 */
const codeBits: readonly number[] = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28,
  28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
  13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6,
  5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23,
  22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22,
  23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26,
  20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27,
  27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27,
  27, 27, 27, 26, 30,
];
const endOfString = 256;

/** Per state and four bits: the next state, with what else there is to know in the bits above it. */
const transitions = new Uint32Array(256 * 16);
const stateMask = 0xff;
const emits = 0x100;
const fails = 0x200;
const emittedShift = 16;
/** States in which a string may end: after at most seven bits, all of them 1. */
const mayEnd = new Uint8Array(256);

/**
 * Decodes a string into `out`. Returns its length; -1 where the code is broken, -2 where `out` is too small.
 * @see RFC 7541, 5.2.
 */
export function decodeHuffman(from: Uint8Array, start: number, end: number, out: Uint8Array): number {
  let state = 0;
  let length = 0;
  for (let at = start; at < end; at++) {
    const byte = from[at] as number;
    for (let shift = 4; shift >= 0; shift -= 4) {
      const next = transitions[(state << 4) | ((byte >> shift) & 15)] as number;
      if ((next & fails) !== 0) return -1;
      if ((next & emits) !== 0) {
        if (length === out.length) return -2;
        out[length++] = next >> emittedShift;
      }
      state = next & stateMask;
    }
  }
  return mayEnd[state] === 1 ? length : -1;
}

type Node = { zero?: Node | number; one?: Node | number; state?: number };

function prepare(): void {
  const root: Node = { state: 0 };
  const inner: Node[] = [root];
  let code = 0;
  for (let bits = 1; bits <= 30; bits++) {
    for (let symbol = 0; symbol <= endOfString; symbol++) {
      if (codeBits[symbol] !== bits) continue;
      let node = root;
      for (let bit = bits - 1; bit > 0; bit--) {
        const side = (code / 2 ** bit) & 1 ? 'one' : 'zero';
        let next = node[side] as Node | undefined;
        if (next === undefined) {
          next = { state: inner.length };
          inner.push(next);
          node[side] = next;
        }
        node = next;
      }
      node[code & 1 ? 'one' : 'zero'] = symbol;
      code += 1;
    }
    code *= 2;
  }
  for (const from of inner) {
    for (let bits = 0; bits < 16; bits++) {
      let node: Node = from;
      let value = 0;
      for (let shift = 3; shift >= 0; shift--) {
        const next = ((bits >> shift) & 1 ? node.one : node.zero) as Node | number;
        if (typeof next === 'object') node = next;
        else if (next === endOfString) value |= fails;
        else {
          value |= emits | (next << emittedShift);
          node = root;
        }
        if ((value & fails) !== 0) break;
      }
      transitions[((from.state as number) << 4) | bits] = value | (node.state as number);
    }
  }
  let node: Node | undefined = root;
  for (let bits = 0; bits <= 7 && node !== undefined; bits++) {
    mayEnd[node.state as number] = 1;
    node = node.one as Node;
  }
}
prepare();
