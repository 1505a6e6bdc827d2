import { type MemoryReaders, memoryReaders } from './memory-readers.ts';
import { encodeOtlp } from './otlp.ts';

// A shop of two services with three traces and their logs, around 2026-01-31T08:00:00Z: small enough to know by heart.

/** 2026-01-31T08:00:00Z, "now" for those who ask about the shop. */
export const shopNow = 1_769_846_400_000_000_000n;
const second = 1_000_000_000n;

/** Trace ids: `declined` has an error in checkout, `fast` none, `markup` names that try to be HTML. */
export const shopTraces = {
  declined: '5b8efff798038103d269b633813fc60c',
  fast: '11111111111111111111111111111111',
  markup: '22222222222222222222222222222222',
} as const;
export const markup = '<script>alert(1)</script>';

export function shop(): MemoryReaders {
  const readers = memoryReaders();
  readers.add('traces', encodeOtlp('traces', { resourceSpans: [frontendSpans, checkoutSpans] }), shopNow);
  readers.add('logs', encodeOtlp('logs', { resourceLogs: [checkoutLogs] }), shopNow);
  const scrapes = Float64Array.from({ length: 61 }, (_, index) => Number(shopNow / 1_000_000n) - (60 - index) * 15_000);
  const series = (route: string, perScrape: number) => ({
    labels: { __name__: 'http_requests_total', job: 'checkout', route },
    timestampsMs: scrapes,
    values: scrapes.map((_, index) => index * perScrape),
  });
  readers.addSeries({ name: 'http_requests_total', type: 'counter', unit: '1', description: 'Requests' }, [
    series('/pay', 30),
    series('/cart', 15),
  ]);
  return readers;
}

const frontendSpans = {
  resource: resource({ 'service.name': 'frontend', 'deployment.environment.name': 'test' }),
  scopeSpans: [
    {
      spans: [
        span(shopTraces.declined, '0000000000000001', '', 'GET /cart', 2, shopNow - 60n * second, 900n),
        span(shopTraces.fast, '0000000000000003', '', 'GET /', 2, shopNow - 30n * second, 5n),
        { ...span(shopTraces.markup, '0000000000000004', '', markup, 2, shopNow - 10n * second, 20n) },
      ],
    },
  ],
};

const checkoutSpans = {
  resource: resource({ 'service.name': 'checkout', 'service.namespace': 'shop' }),
  scopeSpans: [
    {
      scope: { name: 'checkout.payment' },
      spans: [
        {
          ...span(
            shopTraces.declined,
            '0000000000000002',
            '0000000000000001',
            'POST /pay',
            3,
            shopNow - 60n * second,
            800n,
          ),
          status: { code: 2, message: 'payment declined' },
          attributes: attributes({ 'http.response.status_code': 502, 'order.total': 9.5, 'url.path': '/pay' }),
          events: [{ name: 'exception', attributes: attributes({ 'exception.message': 'Card expired' }) }],
        },
      ],
    },
  ],
};

const checkoutLogs = {
  resource: resource({ 'service.name': 'checkout', 'service.namespace': 'shop', 'k8s.pod.name': 'checkout-1' }),
  scopeLogs: [
    {
      scope: { name: 'checkout.payment' },
      logRecords: [
        {
          timeUnixNano: String(shopNow - 59n * second),
          observedTimeUnixNano: String(shopNow),
          severityNumber: 17,
          severityText: 'ERROR',
          body: { stringValue: 'payment declined: card expired' },
          attributes: attributes({ 'order.id': 'A-1042', 'a/b.c': 'slash' }),
          traceId: Buffer.from(shopTraces.declined, 'hex'),
          spanId: Buffer.from('0000000000000002', 'hex'),
        },
        {
          timeUnixNano: String(shopNow - 58n * second),
          severityNumber: 9,
          body: { stringValue: markup },
          attributes: attributes({ 'order.id': 'A-1043' }),
        },
        {
          timeUnixNano: String(shopNow - 57n * second),
          severityNumber: 9,
          body: { kvlistValue: { values: attributes({ event: 'paid', big: 2n ** 60n }) } },
          attributes: [],
        },
      ],
    },
  ],
};

function span(
  traceId: string,
  spanId: string,
  parentSpanId: string,
  name: string,
  kind: number,
  start: bigint,
  ms: bigint,
) {
  return {
    traceId: Buffer.from(traceId, 'hex'),
    spanId: Buffer.from(spanId, 'hex'),
    parentSpanId: Buffer.from(parentSpanId, 'hex'),
    name,
    kind,
    startTimeUnixNano: String(start),
    endTimeUnixNano: String(start + ms * 1_000_000n),
  };
}

function resource(values: Record<string, string>) {
  return { attributes: attributes(values) };
}

function attributes(values: Record<string, string | number | bigint>) {
  return Object.entries(values).map(([key, value]) => ({ key, value: anyValue(value) }));
}

function anyValue(value: string | number | bigint) {
  if (typeof value === 'string') return { stringValue: value };
  if (typeof value === 'number' && !Number.isInteger(value)) return { doubleValue: value };
  return { intValue: String(value) };
}
