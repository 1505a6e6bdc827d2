import { expect, it } from 'vitest';
import { encodeOtlp } from '../../test/kit/otlp.ts';
import { protobufToJson } from '../otlp/index.ts';
import { traceInlineBytesMax } from './limits.ts';
import { createTraceJson } from './trace-json.ts';

const spans = (count: number) =>
  encodeOtlp('traces', {
    resourceSpans: [
      {
        scopeSpans: [
          {
            spans: Array.from({ length: count }, (_, index) => ({
              traceId: Buffer.alloc(16, 7),
              spanId: Buffer.alloc(8, 1),
              name: `späte operation ${index}`,
              startTimeUnixNano: '1769846400000000000',
            })),
          },
        ],
      },
    ],
  });
const textOf = (json: string | Uint8Array) => (typeof json === 'string' ? json : Buffer.from(json).toString());

it('gives the same text for a small trace and for one that goes to the thread', async () => {
  await using traceJson = createTraceJson();
  const [small, large, larger] = [spans(3), spans(2_000), spans(3_000)];
  expect(small.length).toBeLessThan(traceInlineBytesMax);
  expect(large.length).toBeGreaterThan(traceInlineBytesMax);
  const answers = await Promise.all([small, large, larger].map((trace) => traceJson.encode(trace)));
  const expected = [small, large, larger].map((trace) => protobufToJson('traces', trace));
  expect(answers.map((answer, index) => textOf(answer) === expected[index])).toEqual([true, true, true]);
});

it('fails for a damaged trace alone, and answers the next', async () => {
  await using traceJson = createTraceJson();
  const large = spans(2_000);
  const damaged = large.slice(0, -3);
  await expect(traceJson.encode(damaged)).rejects.toThrow(/malformed/);
  expect(textOf(await traceJson.encode(large)) === protobufToJson('traces', large)).toBe(true);
});

it('fails what waits when it is closed, and leaves the bytes that it was given', async () => {
  const traceJson = createTraceJson();
  const large = spans(2_000);
  const waiting = traceJson.encode(large).catch((thrown: Error) => thrown.message);
  await traceJson[Symbol.asyncDispose]();
  await traceJson[Symbol.asyncDispose]();
  expect(await waiting).toBe('stopping');
  expect(large.length).toBeGreaterThan(traceInlineBytesMax);
});
