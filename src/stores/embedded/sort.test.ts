import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Rows } from './columns.ts';
import { sorted } from './sort.ts';

const row = fc.record({
  id: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  of: fc.nat(5),
  time: fc.oneof(fc.bigInt({ min: 0n, max: 40n }), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })),
});

/** Ids with the same lower half, or the same upper one, are different ids. */
const similar = [1n, 2n ** 32n + 1n, 2n ** 63n + 1n, 2n ** 63n, 0n];

test('rows come by id and then by time, and those of one id and time stay in order', () => {
  fc.assert(
    fc.property(fc.array(row, { maxLength: 200, size: 'max' }), fc.boolean(), (given, distinct) => {
      const rows = new Rows([
        { name: 'id', type: 'u64' },
        { name: 'time', type: 'u64' },
      ]);
      const [id, time] = [rows.column('id'), rows.column('time')];
      const wanted = given.map(({ id, of, time }) => [distinct ? id : (similar[of] ?? id), time] as const);
      for (const [idValue, timeValue] of wanted) {
        id.set64(rows.row, Number(idValue & 0xffffffffn), Number(idValue >> 32n));
        time.set64(rows.row, Number(timeValue & 0xffffffffn), Number(timeValue >> 32n));
        rows.endRow();
      }
      // Not all of them, and not from the first on.
      const order = Uint32Array.from(wanted.keys()).filter((row) => row % 7 !== 0);
      const compare = (a: bigint, b: bigint) => (a < b ? -1 : a > b ? 1 : 0);
      const naive = [...order].sort(
        (a, b) => compare(wanted[a]![0], wanted[b]![0]) || compare(wanted[a]![1], wanted[b]![1]) || a - b,
      );
      expect([...sorted(rows, order, ['id', 'time'])]).toEqual(naive);
    }),
  );
});
