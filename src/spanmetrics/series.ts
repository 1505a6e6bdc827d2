import { eachRecord, identityAttributes, plainAttributes, Reader } from '../otlp/index.ts';
import { boundsSeconds, idleMs, nameBytesMax, resourcesMax, seriesMax, servicesMax } from './limits.ts';

// Calls and durations of spans by service, operation, kind and status: cumulative, bounded, and the same however the log was
// cut into batches. No clock of its own, no I/O.

export interface ServiceIdentity {
  readonly name: string;
  readonly namespace: string;
  readonly environment: string;
}

export interface SpanSeries {
  readonly service: ServiceIdentity;
  /** undefined: all operations for which there was no place. */
  readonly name: string | undefined;
  /** As OTLP numbers them. */
  readonly kind: number;
  readonly status: number;
  /** From when it counts. */
  readonly startUnixMs: number;
  readonly count: number;
  readonly sumSeconds: number;
  /** Not cumulated; one more than there are bounds. */
  readonly buckets: readonly number[];
  /** When it grew last. */
  readonly grownUnixMs: number;
  /** Whether a point of value 0 at its start was sent. */
  readonly announced: boolean;
}

type Counter = { -readonly [Key in keyof SpanSeries]: SpanSeries[Key] } & {
  readonly buckets: number[];
  readonly nameBytes: Uint8Array;
};

interface Service {
  readonly identity: ServiceIdentity;
  /** By a hash of name, kind and status. */
  readonly counters: Map<number, Counter[]>;
  readonly overflow: Map<number, Counter>;
}

const overflowService: ServiceIdentity = { name: '', namespace: '', environment: '' };

export class SpanCounts {
  readonly #services = new Map<string, Service>();
  /** By the bytes of their resource. */
  #known = new Map<string, Service>();
  #size = 0;
  #nowMs = 0;
  #startMs = 0;

  get size(): number {
    return this.#size;
  }

  /**
   * Counts the spans of one export request.
   * @param nowMs   Wall clock.
   * @param startMs From when a new series counts: when series were last sent.
   * @throws Fault `malformed`; what came before it in the request is counted.
   */
  count(body: Uint8Array, nowMs: number, startMs: number): void {
    this.#nowMs = nowMs;
    this.#startMs = startMs;
    eachRecord(body, this, (service, start, end) => this.#add(service, body, start, end));
  }

  /** For `eachRecord`: the service of a resource. */
  find(resource: Uint8Array): Service {
    const key = Buffer.from(resource.buffer, resource.byteOffset, resource.length).toString('latin1');
    let service = this.#known.get(key);
    if (service === undefined) {
      if (this.#known.size >= resourcesMax) this.#known = new Map();
      service = this.#service(identityOf(resource));
      this.#known.set(key, service);
    }
    return service;
  }

  #service(identity: ServiceIdentity): Service {
    const key = keyOf(identity);
    const found = this.#services.get(key);
    if (found !== undefined) return found;
    if (this.#services.size >= servicesMax && identity !== overflowService) return this.#service(overflowService);
    const service: Service = { identity, counters: new Map(), overflow: new Map() };
    this.#services.set(key, service);
    return service;
  }

  #add(service: Service, body: Uint8Array, start: number, end: number): void {
    let nameStart = 0;
    let nameEnd = 0;
    let kind = 0;
    let status = 0;
    let startLow = 0;
    let startHigh = 0;
    let endLow = 0;
    let endHigh = 0;
    const span = new Reader(body, start, end);
    while (span.next()) {
      switch (span.field) {
        case 5:
          nameStart = span.valueStart;
          nameEnd = cutAt(body, nameStart, span.valueEnd);
          break;
        case 6:
          kind = span.int32();
          break;
        case 7:
          startLow = span.fixed64Low();
          startHigh = span.fixed64High();
          break;
        case 8:
          endLow = span.fixed64Low();
          endHigh = span.fixed64High();
          break;
        case 15: {
          const message = span.message();
          while (message.next()) if (message.field === 3) status = message.int32();
          break;
        }
        default:
      }
    }
    if (kind < 0 || kind > 5) kind = 0;
    if (status < 0 || status > 2) status = 0;
    const counter = this.#counter(service, body, nameStart, nameEnd, kind, status);
    // A span without an end, or with one before its start, took no time that we know of.
    const nanos = (endHigh - startHigh) * 4294967296 + (endLow - startLow);
    const seconds = nanos > 0 && (endLow !== 0 || endHigh !== 0) ? nanos / 1e9 : 0;
    counter.count++;
    counter.sumSeconds += seconds;
    counter.buckets[bucketOf(seconds)]!++;
    counter.grownUnixMs = this.#nowMs;
  }

  #counter(service: Service, body: Uint8Array, start: number, end: number, kind: number, status: number): Counter {
    let hashed = kind * 3 + status;
    for (let at = start; at < end; at++) hashed = Math.imul(hashed ^ body[at]!, 0x01000193);
    const chain = service.counters.get(hashed);
    if (chain !== undefined) {
      for (const counter of chain) {
        if (counter.kind === kind && counter.status === status && sameBytes(counter.nameBytes, body, start, end))
          return counter;
      }
    }
    if (this.#size >= seriesMax || service.identity === overflowService) return this.#overflow(service, status);
    const nameBytes = body.slice(start, end);
    const counter = this.#newCounter(service.identity, nameBytes, kind, status);
    // A name that is no UTF-8 (the door lets none in) would not be found again after a restart.
    if (!Buffer.from(counter.name ?? '').equals(nameBytes)) return this.#overflow(service, status);
    this.#place(service, counter, hashed);
    return counter;
  }

  #place(service: Service, counter: Counter, hashed: number): void {
    const chain = service.counters.get(hashed);
    if (chain === undefined) service.counters.set(hashed, [counter]);
    else chain.push(counter);
    this.#size++;
  }

  #overflow(service: Service, status: number): Counter {
    let counter = service.overflow.get(status);
    if (counter === undefined) {
      counter = { ...this.#newCounter(service.identity, new Uint8Array(0), 0, status), name: undefined };
      service.overflow.set(status, counter);
    }
    return counter;
  }

  #newCounter(service: ServiceIdentity, nameBytes: Uint8Array, kind: number, status: number): Counter {
    return {
      service,
      name: new TextDecoder().decode(nameBytes),
      nameBytes,
      kind,
      status,
      startUnixMs: this.#startMs,
      count: 0,
      sumSeconds: 0,
      buckets: new Array<number>(boundsSeconds.length + 1).fill(0),
      grownUnixMs: this.#nowMs,
      announced: false,
    };
  }

  /** Every series as it is now: copies, which do not grow. */
  snapshot(): SpanSeries[] {
    return [...this.#all()].map(({ nameBytes: _, ...counter }) => ({ ...counter, buckets: [...counter.buckets] }));
  }

  /** Their point at 0 was sent. */
  announced(series: readonly SpanSeries[]): void {
    const sent = new Set(series.map(seriesKey));
    for (const counter of this.#all()) if (sent.has(seriesKey(counter))) counter.announced = true;
  }

  /** Drops what has not grown for long. */
  expire(nowMs: number): void {
    const idle = ({ grownUnixMs }: Counter) => nowMs - grownUnixMs > idleMs;
    for (const [key, service] of this.#services) {
      for (const [hashed, chain] of service.counters) {
        const kept = chain.filter((counter) => !idle(counter));
        this.#size -= chain.length - kept.length;
        if (kept.length === 0) service.counters.delete(hashed);
        else service.counters.set(hashed, kept);
      }
      for (const [status, counter] of service.overflow) if (idle(counter)) service.overflow.delete(status);
      if (service.counters.size > 0 || service.overflow.size > 0) continue;
      this.#services.delete(key);
      this.#known = new Map();
    }
  }

  /** Takes up what `snapshot` gave. */
  restore(series: readonly SpanSeries[]): void {
    for (const each of series) {
      const service = this.#service(each.service.name === '' ? overflowServiceOr(each.service) : each.service);
      const nameBytes = Buffer.from(each.name ?? '');
      const counter: Counter = { ...each, service: service.identity, buckets: [...each.buckets], nameBytes };
      if (each.name === undefined) service.overflow.set(each.status, counter);
      else {
        let hashed = each.kind * 3 + each.status;
        for (const byte of nameBytes) hashed = Math.imul(hashed ^ byte, 0x01000193);
        this.#place(service, counter, hashed);
      }
    }
  }

  *#all(): Iterable<Counter> {
    for (const { counters, overflow } of this.#services.values()) {
      for (const chain of counters.values()) yield* chain;
      yield* overflow.values();
    }
  }
}

function overflowServiceOr(identity: ServiceIdentity): ServiceIdentity {
  return keyOf(identity) === keyOf(overflowService) ? overflowService : identity;
}

function keyOf({ name, namespace, environment }: ServiceIdentity): string {
  return JSON.stringify([name, namespace, environment]);
}

function seriesKey({ service, name, kind, status }: SpanSeries): string {
  return JSON.stringify([service.name, service.namespace, service.environment, name ?? null, kind, status]);
}

function identityOf(resource: Uint8Array): ServiceIdentity {
  const attributes = plainAttributes(resource, 0, resource.length, 1);
  const first = (keys: readonly string[]): string => {
    for (const key of keys) {
      const value = Object.hasOwn(attributes, key) ? attributes[key] : undefined;
      const text = typeof value === 'string' || typeof value === 'number' ? String(value) : '';
      if (text !== '') return text;
    }
    return '';
  };
  const identity = {
    name: first(identityAttributes.name),
    namespace: first(identityAttributes.namespace),
    environment: first(identityAttributes.environment),
  };
  return overflowServiceOr(identity);
}

/** The end of a name, or of its first `nameBytesMax` bytes without a part of a character. */
function cutAt(body: Uint8Array, start: number, end: number): number {
  if (end - start <= nameBytesMax) return end;
  let at = start + nameBytesMax;
  while (at > start && (body[at]! & 0xc0) === 0x80) at--;
  return at;
}

function sameBytes(bytes: Uint8Array, body: Uint8Array, start: number, end: number): boolean {
  if (bytes.length !== end - start) return false;
  for (let index = 0; index < bytes.length; index++) if (bytes[index] !== body[start + index]) return false;
  return true;
}

/** Bounds are inclusive above. */
function bucketOf(seconds: number): number {
  let bucket = 0;
  while (bucket < boundsSeconds.length && seconds > boundsSeconds[bucket]!) bucket++;
  return bucket;
}
