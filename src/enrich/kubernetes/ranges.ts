import { isIPv4 } from 'node:net';
import { readAddressRange } from '../../base/index.ts';

/** Ranges of addresses by the bits that they share: a lookup costs as many steps as there are lengths of prefixes, however many nodes there are. */
export class PrefixSet {
  /** By family and length of the prefix: the prefixes. */
  readonly #lengths = new Map<string, { ipv4: boolean; bits: number; prefixes: Set<string> }>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** @param range As `10.244.1.0/24`; what is no range is left out. */
  add(range: string): void {
    const read = readAddressRange(range);
    if (read === undefined) return;
    const ipv4 = read.family === 'ipv4';
    const key = `${read.family}/${read.prefixBits}`;
    let length = this.#lengths.get(key);
    if (length === undefined) {
      length = { ipv4, bits: read.prefixBits, prefixes: new Set() };
      this.#lengths.set(key, length);
    }
    const before = length.prefixes.size;
    length.prefixes.add(prefixOf(read.address, read.prefixBits));
    this.#size += length.prefixes.size - before;
  }

  /** @param address As `readAddress` of base/ spells it. */
  has(address: string): boolean {
    if (this.#size === 0) return false;
    const ipv4 = isIPv4(address);
    for (const length of this.#lengths.values()) {
      if (length.ipv4 === ipv4 && length.prefixes.has(prefixOf(address, length.bits))) return true;
    }
    return false;
  }
}

/** The first bits of an address, in a spelling of its own. */
function prefixOf(address: string, bits: number): string {
  if (isIPv4(address)) {
    const number = address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
    return String(Math.floor(number / 2 ** (32 - bits)));
  }
  let left = bits;
  return groupsOf(address)
    .map((group) => {
      const kept = Math.min(Math.max(left, 0), 16);
      left -= 16;
      return (group >> (16 - kept)).toString(16);
    })
    .join(':');
}

/** The eight groups of an IPv6 address. */
function groupsOf(address: string): number[] {
  const [head = '', tail] = address.split('::');
  const groups = (text: string) => (text === '' ? [] : text.split(':').flatMap(groupOf));
  if (tail === undefined) return groups(head);
  const before = groups(head);
  const after = groups(tail);
  return [...before, ...new Array<number>(Math.max(0, 8 - before.length - after.length)).fill(0), ...after];
}

function groupOf(text: string): number[] {
  if (!text.includes('.')) return [Number.parseInt(text, 16)];
  const [a = 0, b = 0, c = 0, d = 0] = text.split('.').map(Number);
  return [a * 256 + b, c * 256 + d];
}
