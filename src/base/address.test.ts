import { expect, it } from 'vitest';
import { AddressRanges, readAddress, readAddressRange } from './address.ts';

it.each([
  ['10.1.2.3', '10.1.2.3'],
  ['::ffff:10.1.2.3', '10.1.2.3'],
  ['::FFFF:0a01:0203', '10.1.2.3'],
  ['0:0:0:0:0:ffff:10.1.2.3', '10.1.2.3'],
  ['FD00:0:0::00A1', 'fd00::a1'],
  ['fe80::1%eth0', 'fe80::1'],
  ['::1', '::1'],
  ['10.1.2', undefined],
  ['10.1.2.3:4317', undefined],
  ['[::1]', undefined],
  ['pod', undefined],
  ['', undefined],
])('reads %s as %s', (text, address) => {
  expect(readAddress(text)).toBe(address);
});

it.each([
  ['10.0.0.0/8', '10.255.0.1', true],
  ['10.0.0.0/8', '11.0.0.1', false],
  ['10.0.0.5', '10.0.0.5', true],
  ['10.0.0.5', '10.0.0.6', false],
  ['fd00::/8', 'fd12::1', true],
  ['fd00::/8', 'fe80::1', false],
  ['0.0.0.0/0', '192.0.2.1', true],
  ['0.0.0.0/0', 'fd00::1', false],
  ['::/0', 'fd00::1', true],
])('%s holds %s: %s', (range, address, holds) => {
  expect(new AddressRanges([range]).has(address)).toBe(holds);
});

it('no ranges hold nothing, and an address that is not known is in none', () => {
  expect(new AddressRanges([]).has('10.0.0.1')).toBe(false);
  expect(new AddressRanges(['0.0.0.0/0', '::/0']).has('')).toBe(false);
});

it.each(['10.0.0.0/33', 'fd00::/129', '10.0.0.0/', '10.0.0.0/8/8', 'x/8', '10.0.0.0/-1', ''])(
  '%s is no range',
  (text) => {
    expect(readAddressRange(text)).toBeUndefined();
  },
);
