import { BlockList, isIP, isIPv4, SocketAddress } from 'node:net';

/**
 * The one spelling of an IP address: IPv4 as it is, IPv6 shortened and in lower case (RFC 5952) without a zone, and IPv4
 * that is mapped into IPv6 as IPv4.
 * @returns undefined for what is no address.
 */
export function readAddress(text: string): string | undefined {
  if (isIPv4(text)) return text;
  const zone = text.indexOf('%');
  const bare = zone < 0 ? text : text.slice(0, zone);
  if (isIP(bare) !== 6) return undefined;
  const { address } = new SocketAddress({ address: bare, family: 'ipv6' });
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice('::ffff:'.length) : address;
}

/** Ranges of addresses. */
export class AddressRanges {
  readonly #list = new BlockList();
  readonly isEmpty: boolean;

  /** @param ranges As `readAddressRange` understands them. */
  constructor(ranges: readonly string[]) {
    this.isEmpty = ranges.length === 0;
    for (const range of ranges) {
      const read = readAddressRange(range);
      if (read !== undefined) this.#list.addSubnet(read.address, read.prefixBits, read.family);
    }
  }

  /** @param address As `readAddress` spells it. */
  has(address: string): boolean {
    if (this.isEmpty || address === '') return false;
    return this.#list.check(address, address.includes(':') ? 'ipv6' : 'ipv4');
  }
}

/** `10.0.0.0/8`, `fd00::/8`, or one address. undefined: neither. */
export function readAddressRange(
  text: string,
): { readonly address: string; readonly prefixBits: number; readonly family: 'ipv4' | 'ipv6' } | undefined {
  const [written = '', bits, ...more] = text.split('/');
  const family = isIP(written);
  if (family === 0 || more.length > 0 || written.includes('%')) return undefined;
  const bitsMax = family === 4 ? 32 : 128;
  if (bits === undefined) return { address: written, prefixBits: bitsMax, family: family === 4 ? 'ipv4' : 'ipv6' };
  if (!/^\d{1,3}$/.test(bits) || Number(bits) > bitsMax) return undefined;
  return { address: written, prefixBits: Number(bits), family: family === 4 ? 'ipv4' : 'ipv6' };
}
