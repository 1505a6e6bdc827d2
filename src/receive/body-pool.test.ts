import fc from 'fast-check';
import { expect, it } from 'vitest';
import { BodyPool } from './body-pool.ts';

const MiB = 1024 * 1024;

it('lends no block to two at once, whatever is taken and given', () => {
  const action = fc.oneof(
    fc.record({ take: fc.integer({ min: 0, max: 2 * MiB }) }),
    fc.record({ give: fc.nat({ max: 20 }) }),
  );
  fc.assert(
    fc.property(fc.array(action, { maxLength: 60 }), (actions) => {
      const pool = new BodyPool({ freeBytesMax: 3 * MiB });
      const lent: Buffer[] = [];
      for (const each of actions) {
        if ('take' in each) {
          const block = pool.take(each.take);
          expect(block.length).toBeGreaterThanOrEqual(each.take);
          expect(lent.some(({ buffer }) => buffer === block.buffer)).toBe(false);
          lent.push(block);
        } else {
          const [block] = lent.splice(each.give, 1);
          if (block !== undefined) pool.give(block);
        }
        expect(pool.freeBytes).toBeLessThanOrEqual(3 * MiB);
      }
    }),
    { numRuns: 50 },
  );
});

it('uses a block again for any body that fits its class', () => {
  const pool = new BodyPool();
  const block = pool.take(40_000);
  pool.give(block);
  expect(pool.take(33_000).buffer).toBe(block.buffer);
  expect(pool.freeBytes).toBe(0);
});

it('drops what was handed to a thread, and what is larger than any class', () => {
  const pool = new BodyPool();
  const moved = pool.take(5_000);
  structuredClone(moved.buffer, { transfer: [moved.buffer as ArrayBuffer] });
  pool.give(moved);
  const large = pool.take(MiB + 1);
  expect(large.length).toBe(MiB + 1); // of its own size: a thread takes it over as it is
  pool.give(large);
  expect(pool.freeBytes).toBe(0);
});

it('gives the memory back when it is cleared', () => {
  const pool = new BodyPool();
  pool.give(pool.take(100));
  expect(pool.freeBytes).toBe(4_096);
  pool.clear();
  expect(pool.freeBytes).toBe(0);
});
