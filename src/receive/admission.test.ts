import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { runs } from '../../test/kit/runs.ts';
import { Admission } from './admission.ts';
import { BodyPieces } from './body.ts';
import { BodyPool } from './body-pool.ts';
import { peerAddress } from './listener.ts';

describe('admission', () => {
  it('keeps room for others when one sender has taken its share, however many connections it opens', () => {
    const admission = new Admission({ bytesMax: 1_000, bytesPerSenderMax: 600 });
    const [one, again, other] = [admission.open('10.0.0.1'), admission.open('10.0.0.1'), admission.open('10.0.0.2')];
    expect(admission.reserve(one, 500)).toBeUndefined();
    expect(admission.reserve(again, 200)).toMatchObject({ code: 'unavailable', retryAfterMs: 1_000 });
    expect(admission.reserve(other, 500)).toBeUndefined();
    expect(admission.reserve(other, 1)).toMatchObject({ code: 'unavailable' });
    admission.release(one, 500, 0);
    expect(admission.reserve(other, 100)).toBeUndefined();
    expect(admission.heldBytes).toBe(600);
  });

  it('forgets a sender that is gone and holds nothing, and not before', () => {
    const admission = new Admission({ bytesMax: 1_000, bytesPerSenderMax: 600 });
    const account = admission.open('10.0.0.1');
    admission.reserve(account, 500);
    admission.close(account);
    expect(admission.open('10.0.0.1')).toBe(account);
    admission.close(account);
    admission.release(account, 500, 0);
    expect(admission.open('10.0.0.1')).not.toBe(account);
  });
});

it('joins pieces of any size to what was sent', () => {
  const blocks = new BodyPool();
  const piece = fc.oneof(fc.uint8Array({ maxLength: 3 }), fc.uint8Array({ minLength: 500, maxLength: 2_000 }));
  fc.assert(
    fc.property(fc.array(piece, { minLength: 1, maxLength: 600, size: 'max' }), (pieces) => {
      const all = Buffer.concat(pieces);
      const body = new BodyPieces();
      for (const bytes of pieces) body.push(Buffer.from(bytes));
      expect(body.sizeBytes).toBe(all.length);
      expect(body.take(blocks).body.equals(all)).toBe(true);
    }),
    { numRuns: runs(20) },
  );
});

it.each([
  ['::ffff:10.0.0.1', '10.0.0.1'],
  ['10.0.0.1', '10.0.0.1'],
  ['::1', '::1'],
  ['fe80::ffff:1', 'fe80::ffff:1'],
  [undefined, ''],
])('a peer at %s is written %s', (remote, address) => expect(peerAddress(remote)).toBe(address));
