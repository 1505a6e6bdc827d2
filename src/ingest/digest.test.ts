import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type Signal, signals } from '../base/index.ts';
import { digestSecretBytes, requestDigest } from './digest.ts';
import { openDigestSecret, sharedDigestSecret } from './digest-secret.ts';
import { authenticatedBytesMin } from './limits.ts';

const secret = new Uint8Array(digestSecretBytes).map((_, index) => index + 1);
const hex = (tenant: string, signal: Signal, body: Uint8Array, key = secret) =>
  Buffer.from(requestDigest(key, tenant, signal, body)).toString('hex');
/** Around the size from which on another way is taken. */
const body = fc
  .tuple(
    fc.oneof(
      fc.nat(300),
      fc.integer({ min: -40, max: 40 }).map((by) => authenticatedBytesMin + by),
    ),
    fc.nat(255),
  )
  .map(([length, fill]) => new Uint8Array(length).fill(fill));

describe('the digest of a request', () => {
  it('has 16 bytes, and is the same for the same request', () => {
    fc.assert(
      fc.property(fc.string(), fc.constantFrom(...signals), body, (tenant, signal, bytes) => {
        expect(hex(tenant, signal, bytes)).toMatch(/^[0-9a-f]{32}$/);
        expect(hex(tenant, signal, bytes.slice())).toBe(hex(tenant, signal, bytes));
      }),
    );
  });

  it('is another after a change of any bit, of the length, the signal or the tenant', () => {
    fc.assert(
      fc.property(body, fc.nat(), fc.nat(7), (bytes, at, bit) => {
        const changed = Uint8Array.from([...bytes, 0]);
        changed[at % changed.length]! ^= 1 << bit;
        const all = [
          hex('a', 'traces', bytes),
          hex('a', 'traces', Uint8Array.from([...bytes, 0])),
          hex('a', 'traces', changed),
          hex('a', 'logs', bytes),
          hex('b', 'traces', bytes),
        ];
        expect(new Set(all).size).toBe(all.length);
      }),
    );
  });

  it('of a large request cannot be foretold without either half of the secret', () => {
    const bytes = new Uint8Array(authenticatedBytesMin);
    const others = [0, digestSecretBytes - 1].map((index) => secret.with(index, 0xff));
    expect(new Set([secret, ...others].map((key) => hex('', 'logs', bytes, key))).size).toBe(3);
  });
});

describe('the secret', () => {
  const folder = async () => {
    const dir = await mkdtemp(join(tmpdir(), 'watchingcat-secret-'));
    onTestFinished(() => rm(dir, { recursive: true }));
    return dir;
  };

  it('is made once, for its owner alone, and is there after a restart', async () => {
    const dir = await folder();
    const first = await openDigestSecret(dir);
    expect(first).toHaveLength(digestSecretBytes);
    expect(await openDigestSecret(dir)).toEqual(first);
    expect((await stat(join(dir, 'digest.secret'))).mode & 0o777).toBe(0o600);
    expect(await openDigestSecret(await folder())).not.toEqual(first);
  });

  it('of replicas is the same for those that have the same token', () => {
    const secret = sharedDigestSecret('a-token-of-replicas');
    expect(secret).toHaveLength(digestSecretBytes);
    expect(sharedDigestSecret('a-token-of-replicas')).toEqual(secret);
    expect(sharedDigestSecret('a-token-of-others')).not.toEqual(secret);
  });

  it('is replaced where the disk damaged it', async () => {
    const dir = await folder();
    await writeFile(join(dir, 'digest.secret'), 'short');
    const made = await openDigestSecret(dir);
    expect(made).toHaveLength(digestSecretBytes);
    expect(new Uint8Array(await readFile(join(dir, 'digest.secret')))).toEqual(new Uint8Array(made));
  });
});
