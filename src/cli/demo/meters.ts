import {
  attributes,
  cumulative,
  type Exemplar,
  type KeyValue,
  type Metric,
  type Requests,
  type Resource,
} from '../otlp/json.ts';
import type { Pods } from './journeys.ts';
import type { Random } from './random.ts';
import type { Pod } from './shop.ts';
import type { Answer, Journey } from './trace-builder.ts';

// What the shop measures about itself: every kind of metric that OTLP has, cumulative, from one start.

/** Seconds. @see semantic conventions, "http.server.request.duration" */
const secondsBounds = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];
/** Scale of the exponential histogram: buckets grow by 2^(1/4). */
const exponentialScale = 2;

/** Counts journeys; gives the metrics at a time. */
export interface Meters {
  observe(journey: Journey): void;
  collect(timeUnixNano: bigint): Requests['metrics'];
}

export function createMeters(random: Random, pods: Pods, startUnixNano: bigint): Meters {
  const http = new Map<Pod, Map<string, Histogram>>();
  const database = new Map<Pod, ExponentialHistogram>();
  const carts = new Map<Pod, { count: number; sum: number; latest: number[] }>();
  const orders = new Map<Pod, Map<string, number>>();
  const revenue = new Map<Pod, Map<string, number>>();
  const everyPod = Object.values(pods).flat();
  const start = String(startUnixNano);

  return {
    observe({ answers, spans }) {
      for (const answer of answers) {
        const key = JSON.stringify([answer.method, answer.route, answer.status]);
        within(
          within(http, answer.pod, () => new Map<string, Histogram>()),
          key,
          () => new Histogram(),
        ).record(answer);
        if (answer.pod.service === 'cart') {
          const summary = within(carts, answer.pod, () => ({ count: 0, sum: 0, latest: [] as number[] }));
          summary.count++;
          summary.sum += answer.seconds;
          summary.latest = [...summary.latest.slice(-99), answer.seconds];
        }
        if (answer.pod.service === 'checkout') {
          const outcome = answer.status < 300 ? 'placed' : answer.status === 402 ? 'declined' : 'failed';
          add(
            within(orders, answer.pod, () => new Map<string, number>()),
            outcome,
            1,
          );
        }
      }
      for (const { pod, span } of spans) {
        const value = (key: string) => span.attributes.find((attribute) => attribute.key === key)?.value;
        if (pod.service === 'catalog' && value('db.system.name') !== undefined) {
          const seconds = Number(BigInt(span.endTimeUnixNano) - BigInt(span.startTimeUnixNano)) / 1e9;
          within(database, pod, () => new ExponentialHistogram(exponentialScale)).record(seconds);
        }
        const amount = value('payment.amount');
        const currency = value('payment.currency');
        if (pod.service === 'payment' && span.status === undefined && amount !== undefined && currency !== undefined) {
          const money =
            'doubleValue' in amount ? amount.doubleValue : 'intValue' in amount ? Number(amount.intValue) : 0;
          const unit = 'stringValue' in currency ? currency.stringValue : '';
          add(
            within(revenue, pod, () => new Map<string, number>()),
            unit,
            money,
          );
        }
      }
    },

    collect(timeUnixNano) {
      const time = String(timeUnixNano);
      const at = (values: KeyValue[]) => ({ attributes: values, startTimeUnixNano: start, timeUnixNano: time });
      const resourceMetrics: Requests['metrics']['resourceMetrics'] = [];
      const put = (resource: Resource, scope: string, metrics: Metric[]) =>
        metrics.length > 0 && resourceMetrics.push({ resource, scopeMetrics: [{ scope: { name: scope }, metrics }] });

      for (const pod of everyPod) {
        const metrics: Metric[] = [];
        const histograms = [...(http.get(pod) ?? [])];
        if (histograms.length > 0) {
          metrics.push({
            name: 'http.server.request.duration',
            unit: 's',
            description: 'Duration of HTTP server requests.',
            histogram: {
              aggregationTemporality: cumulative,
              dataPoints: histograms.map(([key, histogram]) => ({ ...at(httpLabels(key)), ...histogram.point() })),
            },
          });
        }
        metrics.push({
          name: 'http.server.active_requests',
          unit: '{request}',
          description: 'Number of active HTTP server requests.',
          sum: {
            aggregationTemporality: cumulative,
            isMonotonic: false,
            dataPoints: [{ ...at(attributes({ 'url.scheme': 'http' })), asInt: String(Math.floor(random.next() * 4)) }],
          },
        });
        const duration = database.get(pod);
        if (duration !== undefined) {
          metrics.push({
            name: 'db.client.operation.duration',
            unit: 's',
            description: 'Duration of database client operations.',
            exponentialHistogram: {
              aggregationTemporality: cumulative,
              dataPoints: [{ ...at(attributes({ 'db.system.name': 'postgresql' })), ...duration.point() }],
            },
          });
        }
        const placed = orders.get(pod);
        if (placed !== undefined)
          metrics.push(
            counter('shop.orders', '{order}', 'Orders by what became of them.', 'order.outcome', placed, at),
          );
        const taken = revenue.get(pod);
        if (taken !== undefined)
          metrics.push(
            counter('shop.revenue', '{money}', 'Money taken, in its own currency.', 'payment.currency', taken, at),
          );
        const cart = carts.get(pod);
        if (cart !== undefined) {
          const sorted = [...cart.latest].sort((a, b) => a - b);
          const quantileValues = [0.5, 0.9, 0.99].map((quantile) => ({
            quantile,
            value: sorted[Math.floor(quantile * (sorted.length - 1))] ?? 0,
          }));
          metrics.push({
            name: 'cart.request.latency',
            unit: 's',
            description: 'Latency of the cart, as its old library measures it.',
            summary: { dataPoints: [{ ...at([]), count: String(cart.count), sum: cart.sum, quantileValues }] },
          });
        }
        put(pod.resource, 'shop', metrics);
      }
      return { resourceMetrics };
    },
  };
}

function counter(
  name: string,
  unit: string,
  description: string,
  label: string,
  values: ReadonlyMap<string, number>,
  at: (values: KeyValue[]) => { attributes: KeyValue[]; startTimeUnixNano: string; timeUnixNano: string },
): Metric {
  const dataPoints = [...values].map(([value, count]) => ({ ...at(attributes({ [label]: value })), asDouble: count }));
  return { name, unit, description, sum: { aggregationTemporality: cumulative, isMonotonic: true, dataPoints } };
}

function httpLabels(key: string): KeyValue[] {
  const [method, route, status] = JSON.parse(key) as [string, string, number];
  return attributes({
    'http.request.method': method,
    'http.route': route,
    'http.response.status_code': status,
    'url.scheme': 'http',
  });
}

class Histogram {
  readonly #buckets = new Array<number>(secondsBounds.length + 1).fill(0);
  #sum = 0;
  #exemplar: Exemplar | undefined;

  record({ seconds, endUnixNano, traceId, spanId }: Answer): void {
    const index = secondsBounds.findIndex((bound) => seconds <= bound);
    const bucket = index < 0 ? secondsBounds.length : index;
    this.#buckets[bucket] = (this.#buckets[bucket] ?? 0) + 1;
    this.#sum += seconds;
    this.#exemplar = { timeUnixNano: String(endUnixNano), asDouble: seconds, traceId, spanId };
  }

  point() {
    const exemplars = this.#exemplar === undefined ? {} : { exemplars: [this.#exemplar] };
    this.#exemplar = undefined; // an exemplar belongs to the interval in which it was seen
    return {
      count: String(this.#buckets.reduce((total, count) => total + count, 0)),
      sum: this.#sum,
      bucketCounts: this.#buckets.map(String),
      explicitBounds: secondsBounds,
      ...exemplars,
    };
  }
}

class ExponentialHistogram {
  readonly #buckets = new Map<number, number>();
  readonly #scale: number;
  #count = 0;
  #sum = 0;

  constructor(scale: number) {
    this.#scale = scale;
  }

  /** Bucket i holds base^i < x ≤ base^(i+1), base = 2^(2^-scale). Source: OTLP "ExponentialHistogram". */
  record(value: number): void {
    add(this.#buckets, Math.ceil(Math.log2(value) * 2 ** this.#scale) - 1, 1);
    this.#count++;
    this.#sum += value;
  }

  point() {
    const offset = Math.min(...this.#buckets.keys());
    const length = Math.max(...this.#buckets.keys()) - offset + 1;
    const bucketCounts = Array.from({ length }, (_, index) => String(this.#buckets.get(offset + index) ?? 0));
    return {
      count: String(this.#count),
      sum: this.#sum,
      scale: this.#scale,
      zeroCount: '0',
      positive: { offset, bucketCounts },
    };
  }
}

function within<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const known = map.get(key);
  if (known !== undefined) return known;
  const made = make();
  map.set(key, made);
  return made;
}

function add<K>(map: Map<K, number>, key: K, count: number): void {
  map.set(key, (map.get(key) ?? 0) + count);
}
