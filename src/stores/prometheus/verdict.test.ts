import { describe, expect, it } from 'vitest';
import type { Reply } from './client.ts';
import { printable, type Verdict, verdict } from './verdict.ts';

const sent = { doubles: 8, histograms: 2 };
const now = Date.parse('2026-01-01T00:00:00Z');

function answer(status: number, body = '', headers: Record<string, string> = {}): Reply {
  return { kind: 'answer', status, headers, body: Buffer.from(body), cut: false };
}
const written = (samples: number, histograms: number) => ({
  'x-prometheus-remote-write-samples-written': String(samples),
  'x-prometheus-remote-write-histograms-written': String(histograms),
});

describe('verdicts', () => {
  it.each<[name: string, version: '1.0' | '2.0', reply: Reply, expected: Partial<Verdict>]>([
    ['all written', '2.0', answer(204, '', written(8, 2)), { kind: 'stored' }],
    ['a server of 1.0 that reads 2.0 as nothing', '2.0', answer(204), { kind: 'older' }],
    ['a server of 1.0', '1.0', answer(204), { kind: 'stored' }],
    ['success, and nothing written', '2.0', answer(200, '', written(0, 0)), { kind: 'refused' }],
    ['success, and some written', '2.0', answer(200, '', written(8, 0)), { kind: 'partial', missing: 2 }],
    ['415', '2.0', answer(415), { kind: 'older' }],
    ['415 to 1.0', '1.0', answer(415), { kind: 'retry' }],
    [
      'a part refused',
      '2.0',
      answer(400, 'too old', written(7, 2)),
      { kind: 'partial', missing: 1, alreadyThere: false },
    ],
    ['all refused', '2.0', answer(400, 'too old', written(0, 0)), { kind: 'refused', reason: 'HTTP 400: too old' }],
    ['exemplars alone refused', '2.0', answer(400, 'out of order exemplar', written(8, 2)), { kind: 'stored' }],
    ['refused without counts', '2.0', answer(400, 'bad'), { kind: 'partial', missing: undefined }],
    ['refused by 1.0', '1.0', answer(400, 'bad'), { kind: 'partial', missing: undefined }],
    ['refused by Thanos', '1.0', answer(409, 'conflict'), { kind: 'partial', missing: undefined }],
    [
      'out of order, all of them',
      '2.0',
      answer(400, 'out of order sample for series {a="b"}\nout of order sample for series {a="c"}\n', written(0, 0)),
      { kind: 'refused', alreadyThere: true },
    ],
    [
      'out of order and too old',
      '2.0',
      answer(400, 'out of order sample for series {a="b"}\ntoo old sample for series {a="c"}\n', written(0, 0)),
      { kind: 'refused', alreadyThere: false },
    ],
    ['too large', '2.0', answer(413), { kind: 'tooLarge' }],
    ['load', '2.0', answer(429, '', { 'retry-after': '7' }), { kind: 'retry', afterMs: 7_000, doubtful: false }],
    [
      'load until a date',
      '1.0',
      answer(503, '', { 'retry-after': 'Thu, 01 Jan 2026 00:00:30 GMT' }),
      { kind: 'retry', afterMs: 30_000 },
    ],
    ['an absurd date', '1.0', answer(503, '', { 'retry-after': 'soon' }), { kind: 'retry', afterMs: undefined }],
    [
      'its own fault',
      '2.0',
      answer(500, 'disk full'),
      { kind: 'retry', reason: 'HTTP 500: disk full', doubtful: false, failed: true },
    ],
    ['its own fault, for now', '2.0', answer(500, '', { 'retry-after': '7' }), { kind: 'retry', failed: false }],
    ['away for a while', '2.0', answer(503), { kind: 'retry', failed: false }],
    ['a gateway that gave up', '2.0', answer(504), { kind: 'retry', doubtful: true, failed: false }],
    ['credentials', '2.0', answer(401), { kind: 'retry', doubtful: false, failed: false }],
    ['a wrong address', '2.0', answer(404), { kind: 'retry' }],
    ['a redirect', '2.0', answer(302), { kind: 'retry' }],
    [
      'never reached',
      '2.0',
      { kind: 'broken', reason: 'connect ECONNREFUSED', sent: false },
      { kind: 'retry', doubtful: false },
    ],
    ['answer lost', '2.0', { kind: 'broken', reason: 'socket hang up', sent: true }, { kind: 'retry', doubtful: true }],
  ])('%s', (_, version, reply, expected) => expect(verdict(reply, version, sent, now)).toMatchObject(expected));

  it.each([
    [
      'out of order sample for series {__name__="a", card="4111 {x} \\" 1"}\nmore',
      'out of order sample for series {…}',
    ],
    ['line\u0000with\u001b[31m control', 'line with [31m control'],
    ['{broken="', '{…}'],
    ['', ''],
  ])('reasons hold no labels: %j', (said, expected) => expect(printable(said)).toBe(expected));
});
