import { DuckDBInstance } from '@duckdb/node-api';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { runs } from '../../../test/kit/runs.ts';
import { Rows } from './columns.ts';
import { HotTables } from './hot.ts';
import { KeyTable } from './keys.ts';
import { traceKind } from './kinds.ts';
import { frame, minuteNanos, noon, request, type SpanGiven, spanBytes } from './kit.ts';
import { RollUp } from './rollup.ts';

it('counts what SQL counts', async () => {
  const connection = await (await DuckDBInstance.create(':memory:')).connect();
  const hot = new HotTables();
  hot.register(connection);
  const given = fc.record({
    name: fc.constantFrom('GET /', 'a name that is longer than twelve bytes', ''),
    kind: fc.integer({ min: 0, max: 5 }),
    // Around the edges of minutes.
    start: fc.tuple(fc.integer({ min: -2, max: 2 }), fc.integer({ min: -2, max: 2 })),
    // Not at powers of two's eighth roots, where libraries may differ in the last bit.
    took: fc.oneof(fc.constantFrom(-5n, 0n, 1n, 2n, 1024n), fc.bigInt({ min: 3n, max: 10n ** 13n })),
    status: fc.integer({ min: 0, max: 2 }),
  });
  const resources = fc.constantFrom(
    { 'service.name': 'cart' },
    { 'service.name': 'cart', 'service.namespace': 'shop', 'deployment.environment.name': 'test' },
    {},
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(resources, fc.array(given, { minLength: 1 })), { minLength: 1 }),
      async (all) => {
        const rollUp = new RollUp(traceKind.rollUpColumns);
        const rows = new Rows(traceKind.columns, new Map([['name', rollUp.names]]));
        const dictionary = new Rows(traceKind.dictionaryColumns);
        const retentionMs = 1e15;
        const decoder = traceKind.decoders()({
          rows,
          dictionary,
          keys: new KeyTable(),
          promoted: [],
          rollUp,
          retentionMs,
        });
        for (const [index, [resource, spans]] of all.entries()) {
          const records = spans.map(({ name, kind, start: [minutes, nanos], took, status }) => {
            const start = noon + BigInt(minutes) * minuteNanos + BigInt(nanos);
            const traceId = '0102030405060708090a0b0c0d0e0f10';
            const each: SpanGiven = {
              traceId,
              spanId: '0102030405060708',
              name,
              kind,
              start,
              end: start + took,
              status,
            };
            return spanBytes(each);
          });
          decoder.decode(frame(index + 1, request(resource, records), spans.length), index, []);
        }
        const names = traceKind.rollUpColumns.map(({ name }) => name).join(', ');
        const [facts, origins, counted] = [hot.add(rows), hot.add(dictionary), hot.add(rollUp.rows())];
        const read = async (from: string) =>
          (await (await connection.run(`SELECT ${names} FROM ${from} ORDER BY ALL`)).getRows()).map((row) =>
            row.map(String),
          );
        expect(await read(counted)).toEqual(await read(`(${traceKind.rollup(facts, origins)})`));
        for (const table of [facts, origins, counted]) hot.remove(table);
      },
    ),
    { numRuns: runs(40) },
  );
  connection.closeSync();
});
