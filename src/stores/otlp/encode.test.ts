import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { Batch } from '../../base/index.ts';
import { encodeMessage } from './encode.ts';

function batchOf(bodies: readonly Uint8Array[]): Batch {
  const frames = bodies.map((body, index) => ({
    seq: index + 1,
    tenant: '',
    digest: new Uint8Array(16),
    receivedUnixNano: 1n,
    records: 1,
    body,
  }));
  const sizeBytes = bodies.reduce((sum, body) => sum + body.byteLength, 0);
  return { signal: 'logs', logId: 'ab'.repeat(16), frames, records: frames.length, sizeBytes };
}

it('is the prefix and all bodies, in order, wherever they lie', () => {
  const place = fc.record({ size: fc.integer({ min: 1, max: 20_000 }), gap: fc.constantFrom(0, 0, 1, 72) });
  fc.assert(
    fc.property(fc.array(place, { minLength: 1, maxLength: 30 }), fc.boolean(), (places, reversed) => {
      const memory = Buffer.alloc(places.reduce((sum, { size, gap }) => sum + size + gap, 0));
      for (let at = 0; at < memory.length; at++) memory[at] = (at * 31) % 251;
      let end = 0;
      const bodies = places.map(({ size, gap }) => {
        const start = end + gap;
        end = start + size;
        return new Uint8Array(memory.buffer, memory.byteOffset + start, size);
      });
      if (reversed) bodies.reverse();
      const message = Buffer.concat(encodeMessage(batchOf(bodies)));
      expect([message[0], message.readUInt32BE(1)]).toEqual([0, message.length - 5]);
      expect(message.subarray(5).equals(Buffer.concat(bodies))).toBe(true);
    }),
    { numRuns: 200 },
  );
});

it('is one piece beside the prefix where the bodies lie side by side', () => {
  const memory = new Uint8Array(500_000);
  const bodies = Array.from({ length: 10 }, (_, n) => memory.subarray(n * 50_000, (n + 1) * 50_000));
  expect(encodeMessage(batchOf(bodies)).map(({ byteLength }) => byteLength)).toEqual([5, 500_000]);
});
