import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { oracleDecode, oracleEncode, recordsOf, requests } from '../../test/kit/otlp-oracle.ts';
import { Fault, signals } from '../base/index.ts';
import {
  defaultLimits,
  encodeResourceAttribute,
  jsonToProtobuf,
  protobufToJson,
  resourceHas,
  resourceText,
  rewrite,
  spliceResources,
  walk,
} from './index.ts';

const runs = { numRuns: 100, interruptAfterTimeLimit: 3_000 };

describe.each(signals)('%s: any valid request', (signal) => {
  const request = requests[signal];

  it('is counted as the oracle counts, is clean, and comes out of the slow path as it went in', () => {
    fc.assert(
      fc.property(request, (message) => {
        const bytes = oracleEncode(signal, message);
        const walked = walk(signal, bytes, defaultLimits);
        expect(walked.records).toBe(recordsOf(signal, message).length);
        expect(walked.clean).toBe(true);
        const rewritten = rewrite(signal, bytes, defaultLimits);
        expect(rewritten).toMatchObject({ records: walked.records, rejected: 0, message: '' });
        expect(Buffer.from(rewritten.bytes).equals(bytes)).toBe(true);
      }),
      runs,
    );
  });

  it('goes to JSON and back without loss', () => {
    fc.assert(
      fc.property(request, (message) => {
        const bytes = oracleEncode(signal, message);
        const json = protobufToJson(signal, bytes);
        const back = jsonToProtobuf(signal, Buffer.from(json));
        expect(oracleDecode(signal, back)).toEqual(oracleDecode(signal, bytes));
        // Parsed by somebody else and written with spaces, it is still the same.
        const parsed = JSON.stringify(JSON.parse(json, keepNumbers), null, 2);
        expect(oracleDecode(signal, jsonToProtobuf(signal, Buffer.from(parsed)))).toEqual(oracleDecode(signal, bytes));
      }),
      runs,
    );
  });

  it('gains exactly the attributes that are spliced in', () => {
    const attribute = fc.tuple(fc.string(), fc.string({ unit: 'grapheme', maxLength: 200 }));
    fc.assert(
      fc.property(request, fc.array(fc.array(attribute, { maxLength: 3 }), { maxLength: 3 }), (message, added) => {
        const bytes = oracleEncode(signal, message);
        const pieces = spliceResources(bytes, walk(signal, bytes, defaultLimits), (_, index) =>
          (added[index] ?? []).map(([key, value]) => encodeResourceAttribute(key, value)),
        );
        const spliced = Buffer.concat(pieces);
        const expected = oracleDecode(signal, bytes);
        const resources = (Object.values(expected)[0] ?? []) as { resource?: { attributes?: unknown[] } }[];
        resources.forEach((resource, index) => {
          const attributes = added[index] ?? [];
          if (attributes.length === 0) return;
          resource.resource ??= {};
          resource.resource.attributes = [
            ...(resource.resource.attributes ?? []),
            ...attributes.map(([key, value]) => ({ ...(key !== '' && { key }), value: { stringValue: value } })),
          ];
        });
        expect(oracleDecode(signal, spliced)).toEqual(expected);
        const walked = walk(signal, spliced, defaultLimits);
        expect(walked.clean).toBe(true);
        walked.resources.forEach((resource, index) => {
          for (const [key] of added[index] ?? []) expect(resourceHas(spliced, resource, Buffer.from(key))).toBe(true);
        });
      }),
      runs,
    );
  });

  it('has its resource attributes found where the oracle finds them', () => {
    fc.assert(
      fc.property(request, (message) => {
        const bytes = oracleEncode(signal, message);
        const walked = walk(signal, bytes, defaultLimits);
        type Attribute = { key?: string; value?: { stringValue?: string } };
        const resources = (Object.values(oracleDecode(signal, bytes))[0] ?? []) as {
          resource?: { attributes?: Attribute[] };
        }[];
        resources.forEach((resource, index) => {
          const attributes = resource.resource?.attributes ?? [];
          const at = walked.resources[index]!;
          for (const { key = '' } of attributes) {
            const first = attributes.find((attribute) => (attribute.key ?? '') === key)!;
            expect(resourceText(bytes, at, key)).toBe(first.value?.stringValue);
            expect(resourceHas(bytes, at, Buffer.from(key))).toBe(true);
          }
          expect(resourceText(bytes, at, 'no such key')).toBeUndefined();
          expect(resourceHas(bytes, at, Buffer.from('no such key'))).toBe(false);
        });
      }),
      runs,
    );
  });
});

describe.each(signals)('%s: any damage', (signal) => {
  /** What a door does with bytes that it does not know. Answers, or throws a Fault. */
  function receive(bytes: Uint8Array): void {
    try {
      const walked = walk(signal, bytes, defaultLimits);
      if (walked.clean) {
        protobufToJson(signal, bytes);
        return;
      }
      const rewritten = rewrite(signal, bytes, defaultLimits);
      const again = walk(signal, rewritten.bytes, defaultLimits);
      expect(again).toMatchObject({ clean: true, records: rewritten.records });
      // Nothing is rejected or mended without a word.
      expect(rewritten.message).not.toBe('');
      protobufToJson(signal, rewritten.bytes);
    } catch (thrown) {
      expect(thrown).toBeInstanceOf(Fault);
      expect((thrown as Fault).code).toBe('malformed');
    }
  }

  it('cut at every byte', () => {
    fc.assert(
      fc.property(requests[signal], (message) => {
        const bytes = oracleEncode(signal, message);
        const step = Math.max(1, Math.floor(bytes.length / 300));
        for (let end = 0; end < bytes.length; end += step) receive(bytes.subarray(0, end));
      }),
      { numRuns: 20, interruptAfterTimeLimit: 3_000 },
    );
  });

  it('flipped bits, overwritten, inserted and removed bytes', () => {
    const change = fc.record({
      at: fc.nat(),
      kind: fc.constantFrom('flip', 'set', 'insert', 'remove'),
      bit: fc.integer({ min: 0, max: 7 }),
      bytes: fc.uint8Array({ minLength: 1, maxLength: 6 }),
    });
    fc.assert(
      fc.property(requests[signal], fc.array(change, { minLength: 1, maxLength: 4 }), (message, changes) => {
        let bytes = Buffer.from(oracleEncode(signal, message));
        for (const { at, kind, bit, bytes: other } of changes) {
          if (bytes.length === 0) break;
          const index = at % bytes.length;
          if (kind === 'flip') bytes[index]! ^= 1 << bit;
          else if (kind === 'set') bytes.set(other.subarray(0, bytes.length - index), index);
          else if (kind === 'insert') bytes = Buffer.concat([bytes.subarray(0, index), other, bytes.subarray(index)]);
          else bytes = Buffer.concat([bytes.subarray(0, index), bytes.subarray(index + other.length)]);
        }
        receive(bytes);
      }),
      { numRuns: 400, interruptAfterTimeLimit: 3_000 },
    );
  });

  it('garbage', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), receive), { numRuns: 400, interruptAfterTimeLimit: 3_000 });
  });

  it('JSON cut, flipped, inserted into and removed from', () => {
    const change = fc.record({
      at: fc.nat(),
      text: fc.constantFrom('', '"', '{', '}', '[', ']', ',', ':', '\\', 'null', '1e3', '-', '\\u12', '0', '\u{7f}'),
    });
    fc.assert(
      fc.property(requests[signal], fc.array(change, { minLength: 1, maxLength: 3 }), (message, changes) => {
        let json = protobufToJson(signal, oracleEncode(signal, message));
        for (const { at, text } of changes) {
          const index = at % (json.length + 1);
          json = json.slice(0, index) + text + json.slice(index + (text === '' ? 1 : at % 2));
        }
        let bytes: Uint8Array;
        try {
          bytes = jsonToProtobuf(signal, Buffer.from(json));
        } catch (thrown) {
          expect(thrown).toBeInstanceOf(Fault);
          expect((thrown as Fault).code).toBe('malformed');
          return;
        }
        // What we take, JSON.parse takes; it may not be the other way round.
        if (json !== '') expect(() => JSON.parse(json)).not.toThrow(); // an empty body is an empty request
        receive(bytes);
      }),
      { numRuns: 250, interruptAfterTimeLimit: 3_000 },
    );
  });
});

/** JSON.parse loses −0's sign only when it is written again. */
function keepNumbers(_key: string, value: unknown): unknown {
  return Object.is(value, -0) ? '-0' : value;
}
