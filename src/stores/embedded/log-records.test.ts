import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Writer } from '../../otlp/index.ts';
import type { Json } from '../contract.ts';
import { day, everything, folderOfOwn, frame, logBytes, never, noon, openStore, request, write } from './kit.ts';

/** One field of a LogRecord as it may come over the wire, and what it makes of the record. */
interface Field {
  readonly bytes: Uint8Array;
  readonly sets: { readonly body?: Json; readonly traceId?: string; readonly spanId?: string };
}

const field = (fill: (writer: Writer) => void, sets: Field['sets']): Field => {
  const writer = new Writer();
  fill(writer);
  return { bytes: writer.finish().slice(), sets };
};
const record = (given: Parameters<typeof logBytes>[0], sets: Field['sets']): Field => ({
  bytes: logBytes(given),
  sets,
});
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const id = (size: number) =>
  fc.uint8Array({ minLength: size, maxLength: size }).filter((bytes) => bytes.some((byte) => byte !== 0));

const body = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 300 }).map((text) => record({ body: text }, { body: text })),
  fc.boolean().map((value) => record({ body: value }, { body: value })),
  fc.constant(record({ body: { a: ['b', 1] } }, { body: { a: ['b', 1] } })),
  fc.constant(record({ body: undefined }, { body: null })),
  // Not UTF-8.
  fc.constant(
    field(
      (writer) => {
        const at = writer.begin(5);
        writer.bytes(1, Buffer.from([0x61, 0xff]));
        writer.end(at);
      },
      { body: 'a\ufffd' },
    ),
  ),
  // A number, and then a text that takes its place.
  fc.constant(
    field(
      (writer) => {
        const at = writer.begin(5);
        writer.int64(3, 7n);
        writer.string(1, 'last');
        writer.end(at);
      },
      { body: 'last' },
    ),
  ),
);
const traceId = id(16).map((bytes) => record({ traceId: hex(bytes) }, { traceId: hex(bytes) }));
const spanId = id(8).map((bytes) => record({ spanId: hex(bytes) }, { spanId: hex(bytes) }));
const severity = fc.constant(record({ severity: 9 }, {}));
const attribute = fc
  .string({ maxLength: 200 })
  .map((text) => record({ attributes: { [`k${text.length}`]: text } }, {}));

/** Mostly as encoders write them, sometimes in any order and more than once. */
const fields = fc.oneof(
  fc.tuple(severity, body, attribute, traceId, spanId),
  fc.array(fc.oneof(severity, body, attribute, traceId, spanId), { maxLength: 8 }),
);

test('a log record comes back as it was sent, however its fields lie, from memory and from files', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fields, { minLength: 1, maxLength: 40 }), async (records) => {
      await using folder = await folderOfOwn();
      await using store = await openStore(folder.path);
      const time = record({ time: noon }, {});
      const bodies = records.map((fields) => Buffer.concat([time, ...fields].map(({ bytes }) => bytes)));
      await write(store, 'logs', [frame(1, request({ 'service.name': 'a' }, bodies), bodies.length)]);
      const wanted = records.map((fields) =>
        Object.assign({ body: null, traceId: '', spanId: '' }, ...fields.map(({ sets }) => sets)),
      );
      const stored = async () => {
        const search = { range: day, filter: everything, order: 'asc', limit: 100, cursor: undefined } as const;
        const { items } = await store.readers.logs!.search(search, never);
        return items.map(({ body, traceId, spanId }) => ({ body, traceId, spanId }));
      };
      expect(await stored()).toEqual(wanted);
      await store.rollAll();
      expect(await stored()).toEqual(wanted);
    }),
    { numRuns: 25 },
  );
});
