// What the hot path costs: `node src/otlp/walk.bench.ts`. CPU time, which other load on the machine changes less than the clock.
import {
  defaultLimits,
  encodeResourceAttribute,
  jsonToProtobuf,
  protobufToJson,
  rewrite,
  spliceResources,
  walk,
} from './index.ts';

/** A request of `count` spans as SDKs send them, about 400 bytes each. */
function spans(count: number): Uint8Array {
  const request = {
    resourceSpans: [
      {
        resource: { attributes: [{ key: 'service.name', value: { stringValue: 'checkout' } }] },
        scopeSpans: [
          {
            scope: { name: '@opentelemetry/instrumentation-http', version: '0.57.0' },
            spans: Array.from({ length: count }, (_, index) => ({
              traceId: (index + 1).toString(16).padStart(32, 'a'),
              spanId: (index + 1).toString(16).padStart(16, 'b'),
              parentSpanId: (index + 2).toString(16).padStart(16, 'b'),
              name: 'GET /api/orders/{id}',
              kind: 2,
              startTimeUnixNano: '1700000000000000000',
              endTimeUnixNano: '1700000000100000000',
              attributes: [
                { key: 'http.request.method', value: { stringValue: 'GET' } },
                { key: 'url.path', value: { stringValue: '/api/orders/4711/items' } },
                { key: 'http.route', value: { stringValue: '/api/orders/{id}/items' } },
                { key: 'http.response.status_code', value: { intValue: '200' } },
                { key: 'server.address', value: { stringValue: 'checkout.shop.svc.cluster.local' } },
                { key: 'user_agent.original', value: { stringValue: 'Mozilla/5.0 (X11; Linux x86_64)' } },
                { key: 'network.protocol.version', value: { stringValue: '1.1' } },
              ],
              status: {},
              flags: 257,
            })),
          },
        ],
      },
    ],
  };
  return jsonToProtobuf('traces', Buffer.from(JSON.stringify(request)));
}

/** CPU microseconds of one call, best of several rounds. */
function cpuMicros(calls: number, run: () => unknown): number {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 7; round++) {
    const before = process.cpuUsage();
    for (let call = 0; call < calls; call++) run();
    const { user, system } = process.cpuUsage(before);
    best = Math.min(best, (user + system) / calls);
  }
  return best;
}

function line(what: string, micros: number): void {
  console.log(`${what.padEnd(48)} ${micros.toFixed(1).padStart(10)} µs`);
}

const bytes = spans(100);
const json = Buffer.from(protobufToJson('traces', bytes));
const walked = walk('traces', bytes, defaultLimits);
const added = [encodeResourceAttribute('k8s.cluster.name', 'production')];
console.log(`100 spans: ${bytes.length} bytes of protobuf, ${json.length} of JSON`);
line(
  'walk',
  cpuMicros(2000, () => walk('traces', bytes, defaultLimits)),
);
line(
  'spliceResources',
  cpuMicros(2000, () => spliceResources(bytes, walked, () => added)),
);
line(
  'rewrite, nothing to do',
  cpuMicros(300, () => rewrite('traces', bytes, defaultLimits)),
);
line(
  'jsonToProtobuf',
  cpuMicros(100, () => jsonToProtobuf('traces', json)),
);
line(
  'JSON.parse of the same',
  cpuMicros(100, () => JSON.parse(json.toString())),
);
line(
  'protobufToJson',
  cpuMicros(100, () => protobufToJson('traces', bytes)),
);

/** 64 MiB of one element, in messages by field number. */
function flood(around: number[], element: number[]): Uint8Array {
  const elements = Buffer.alloc(64 * 1024 * 1024 - 64, Uint8Array.from(element));
  const pieces: Uint8Array[] = [elements];
  for (const number of around.toReversed()) {
    const head: number[] = [number * 8 + 2];
    let rest = pieces.reduce((sum, piece) => sum + piece.length, 0);
    for (; rest >= 0x80; rest = Math.floor(rest / 128)) head.push((rest % 128) | 0x80);
    pieces.unshift(Uint8Array.from([...head, rest]));
  }
  return Buffer.concat(pieces);
}
for (const [what, signal, around, element] of [
  ['scopes', 'traces', [1], [0x12, 0]],
  ['metrics', 'metrics', [1, 2], [0x12, 0]],
  ['attributes', 'traces', [1, 2, 2], [0x4a, 0]],
  ['elements of an array', 'logs', [1, 2, 2, 5, 5], [0x0a, 0]],
  ['bucket counts', 'metrics', [1, 2, 2, 10, 1, 8, 2], [0]],
] as const) {
  const request = flood([...around], [...element]);
  const micros = cpuMicros(1, () => {
    try {
      walk(signal, request, defaultLimits);
    } catch {}
  });
  line(`64 MiB of ${what}, until refused`, micros);
}
