import { Readable } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import type { Fault, FaultCode } from '../base/index.ts';
import { formatValue, type Series } from '../query/index.ts';

// The answers of Prometheus' HTTP API, for clients that know them. Source: prometheus.io, "HTTP API".

const metric = z.record(z.string(), z.string());
const point = z.tuple([z.number(), z.string()]).describe('Unix seconds, and the value as text');

export const vectorOrMatrix = z
  .object({
    status: z.literal('success'),
    data: z.union([
      z.object({ resultType: z.literal('vector'), result: z.array(z.object({ metric, value: point })) }),
      z.object({ resultType: z.literal('matrix'), result: z.array(z.object({ metric, values: z.array(point) })) }),
    ]),
  })
  .meta({
    example: {
      status: 'success',
      data: {
        resultType: 'vector',
        result: [{ metric: { __name__: 'http_requests_total', job: 'checkout' }, value: [1769846400, '1200'] }],
      },
    },
  });
export const matrix = z
  .object({
    status: z.literal('success'),
    data: z.object({
      resultType: z.literal('matrix'),
      result: z.array(z.object({ metric, values: z.array(point) })),
    }),
  })
  .meta({
    example: {
      status: 'success',
      data: {
        resultType: 'matrix',
        result: [
          {
            metric: { job: 'checkout' },
            values: [
              [1769846340, '2'],
              [1769846400, '2.5'],
            ],
          },
        ],
      },
    },
  });

export const prometheusError = z.object({ status: z.literal('error'), errorType: z.string(), error: z.string() }).meta({
  description: "Prometheus' shape of errors",
  example: { status: 'error', errorType: 'bad_data', error: 'invalid parameter "query": expected } at position 5' },
});

/** errorType and status as web/api/v1 of Prometheus has them. */
const errors: Partial<Record<FaultCode, readonly [errorType: string, status: number]>> = {
  unprocessable: ['execution', 422],
  tooSlow: ['timeout', 503],
  unavailable: ['unavailable', 503],
  notFound: ['not_found', 404],
  notConfigured: ['unavailable', 501],
  internal: ['internal', 500],
};

export function prometheusErrorOf(fault: Fault): {
  readonly status: number;
  readonly body: z.infer<typeof prometheusError>;
} {
  const [errorType, status] = errors[fault.code] ?? ['bad_data', fault.status.http];
  const error =
    fault.parameter === undefined ? fault.message : `invalid parameter "${fault.parameter}": ${fault.message}`;
  return { status, body: { status: 'error', errorType, error } };
}

/** Points written at a time: a few milliseconds of the thread. */
const pointsPerPiece = 2_000;

/**
 * Sends an answer piece by piece: a million points as one text would hold the thread for a second.
 * @param type  `vector` takes the one point of each series.
 */
export function sendSuccess(reply: FastifyReply, type: 'vector' | 'matrix', series: readonly Series[]): FastifyReply {
  const body = Readable.from(pieces(type, series), { objectMode: false });
  return reply.type('application/json; charset=utf-8').send(body);
}

/** Sends what Prometheus itself answered. */
export function sendPrometheus(reply: FastifyReply, json: Uint8Array): FastifyReply {
  return reply.type('application/json; charset=utf-8').send(Buffer.from(json.buffer, json.byteOffset, json.length));
}

async function* pieces(type: 'vector' | 'matrix', series: readonly Series[]): AsyncIterable<string> {
  let text = `{"status":"success","data":{"resultType":"${type}","result":[`;
  let points = 0;
  for (const [index, { labels, timestampsMs, values }] of series.entries()) {
    text += `${index === 0 ? '' : ','}{"metric":${JSON.stringify(labels)},${type === 'vector' ? '"value":' : '"values":['}`;
    for (const [at, ms] of timestampsMs.entries()) {
      text += `${at === 0 ? '' : ','}[${ms / 1000},"${formatValue(values[at]!)}"]`;
      if (++points % pointsPerPiece !== 0) continue;
      yield text;
      text = '';
      // A socket that takes all at once would otherwise keep everybody else waiting.
      await setImmediate();
    }
    text += type === 'vector' ? '}' : ']}';
  }
  yield `${text}]}}`;
}
