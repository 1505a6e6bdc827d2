import {
  labelName,
  plainAttributes,
  plainValue,
  promotedResourceAttributes,
  Reader,
  type TranslationStrategy,
} from '../../otlp/index.ts';
import type { Json } from '../contract.ts';

// Labels by the Prometheus OTLP translation. Pure. Sources: prometheus storage/remote/otlptranslator (3.16), and
// OpenTelemetry, "Prometheus and OpenMetrics Compatibility". Strings here, since they are made once for each series.

export interface Naming {
  readonly strategy: TranslationStrategy;
  /** Resource attributes that become labels of every series. */
  readonly promotedResourceAttributes: readonly string[];
  /** `service.name`, `service.namespace` and `service.instance.id` among the labels of `target_info`, too. */
  readonly keepIdentifyingResourceAttributes: boolean;
  /** Name, version, schema URL and attributes of the scope as labels `otel_scope_…`. */
  readonly promoteScopeMetadata: boolean;
}

/** As Prometheus and its documentation recommend for OTLP. */
export const defaultNaming: Naming = {
  strategy: 'UnderscoreEscapingWithSuffixes',
  promotedResourceAttributes,
  keepIdentifyingResourceAttributes: false,
  promoteScopeMetadata: false,
};

/** By name; an empty value is as if the label were absent, and is not in here once labels are complete. */
export type Labels = Map<string, string>;

/** What all series of a resource have in common. */
export interface ResourceLabels {
  /** Where the point has no label of that name. */
  readonly promoted: ReadonlyMap<string, string>;
  /** `job` and `instance`: over whatever the point says. */
  readonly identity: ReadonlyMap<string, string>;
  /** Of `target_info`; undefined where there is nothing to tell or nobody to tell it of. */
  readonly targetInfo: ReadonlyMap<string, string> | undefined;
}

const identifying = ['service.name', 'service.namespace', 'service.instance.id'] as const;

/** @param resource A Resource message. A key without a name that Prometheus allows is left out of `target_info`. */
export function resourceLabels(resource: Uint8Array, naming: Naming): ResourceLabels {
  const attributes = plainAttributes(resource, 0, resource.length, 1);
  const promoted: Labels = new Map();
  for (const key of naming.promotedResourceAttributes) {
    if (Object.hasOwn(attributes, key)) put(promoted, labelName(key, naming.strategy), labelValue(attributes[key]!));
  }
  const identity: Labels = new Map();
  const service = own(attributes, 'service.name');
  const namespace = own(attributes, 'service.namespace');
  if (service !== undefined) put(identity, 'job', namespace === undefined ? service : `${namespace}/${service}`);
  put(identity, 'instance', own(attributes, 'service.instance.id') ?? '');

  const told = Object.entries(attributes).filter(([key]) => !(identifying as readonly string[]).includes(key));
  if (told.length === 0 || identity.size === 0) return { promoted, identity, targetInfo: undefined };
  const info = named(
    (naming.keepIdentifyingResourceAttributes ? Object.entries(attributes) : told).map(([key, value]) => [
      key,
      labelValue(value),
    ]),
    naming.strategy,
  );
  for (const [name, value] of identity) info.labels.set(name, value);
  info.labels.set('__name__', 'target_info');
  return { promoted, identity, targetInfo: info.labels };
}

/** Of an InstrumentationScope message; empty where it has no name, as Prometheus has it. */
export function scopeLabels(scope: Uint8Array, schemaUrl: string, naming: Naming): Labels {
  const labels: Labels = new Map();
  if (!naming.promoteScopeMetadata) return labels;
  let name = '';
  let version = '';
  const reader = new Reader(scope);
  while (reader.next()) {
    if (reader.field === 1) name = reader.string();
    else if (reader.field === 2) version = reader.string();
  }
  if (name === '') return labels;
  for (const [key, value] of Object.entries(plainAttributes(scope, 0, scope.length, 3))) {
    put(labels, labelName(`otel_scope_${key}`, naming.strategy), labelValue(value));
  }
  put(labels, 'otel_scope_name', name);
  put(labels, 'otel_scope_version', version);
  put(labels, 'otel_scope_schema_url', schemaUrl);
  return labels;
}

/**
 * The labels of a point's series but `__name__`, `le` and `quantile`.
 * @param pairs Where each KeyValue message of the point's attributes lies in `bytes`: start, end, start, end, …
 * @returns The key for which Prometheus has no label name, where there is one: such a point it refuses.
 */
export function pointLabels(
  bytes: Uint8Array,
  pairs: readonly number[],
  resource: ResourceLabels,
  scope: ReadonlyMap<string, string>,
  naming: Naming,
): { readonly labels: Labels; readonly nameless: string | undefined } {
  const attributes: [string, string][] = [];
  for (let at = 0; at < pairs.length; at += 2) attributes.push(keyValue(bytes, pairs[at]!, pairs[at + 1]!));
  const { labels, nameless } = named(
    attributes.filter(([key]) => key !== '__name__'),
    naming.strategy,
  );
  labels.delete('__name__');
  for (const [name, value] of resource.promoted) if (!labels.has(name)) labels.set(name, value);
  for (const [name, value] of resource.identity) labels.set(name, value);
  for (const [name, value] of scope) labels.set(name, value);
  return { labels, nameless };
}

export function keyValue(bytes: Uint8Array, start: number, end: number): [key: string, value: string] {
  const pair = new Reader(bytes, start, end);
  let key = '';
  let value: Json = null;
  while (pair.next()) {
    if (pair.field === 1) key = pair.string();
    else if (pair.field === 2) value = plainValue(bytes, pair.valueStart, pair.valueEnd);
  }
  return [key, labelValue(value)];
}

/** Attributes that become the same label are joined by ';', in the order of their keys. */
function named(attributes: [string, string][], strategy: TranslationStrategy) {
  attributes.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  const labels: Labels = new Map();
  let nameless: string | undefined;
  for (const [key, value] of attributes) {
    const name = labelName(key, strategy);
    if (name === '') nameless = key;
    else {
      const before = labels.get(name);
      put(labels, name, before === undefined ? value : `${before};${value}`);
    }
  }
  return { labels, nameless };
}

function put(labels: Labels, name: string, value: string): void {
  if (name !== '' && value !== '') labels.set(name, value);
}

function own(attributes: { readonly [key: string]: Json }, key: string): string | undefined {
  return Object.hasOwn(attributes, key) ? labelValue(attributes[key]!) : undefined;
}

/** As the Collector's `Value.AsString`: text as it is, all else as JSON with sorted keys. */
function labelValue(value: Json): string {
  if (value === null) return '';
  if (typeof value === 'string') return value;
  if (typeof value !== 'object') return String(value);
  return JSON.stringify(sorted(value));
}

function sorted(value: Json): Json {
  if (Array.isArray(value)) return value.map(sorted);
  if (value === null || typeof value !== 'object') return value;
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, member]) => [key, sorted(member)]));
}

/** A bound or a quantile as Go's `strconv.FormatFloat(value, 'f', -1, 64)` writes it: no exponent, however large. */
export function labelNumber(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return '+Inf';
  if (value === Number.NEGATIVE_INFINITY) return '-Inf';
  if (Number.isNaN(value)) return 'NaN';
  const text = String(value);
  const parts = /^(-?)(\d)(?:\.(\d+))?e([+-]\d+)$/.exec(text);
  if (parts === null) return Object.is(value, -0) ? '-0' : text;
  const [, sign, whole, fraction = '', exponent] = parts;
  const digits = `${whole}${fraction}`;
  const point = 1 + Number(exponent);
  if (point <= 0) return `${sign}0.${'0'.repeat(-point)}${digits}`;
  return `${sign}${digits.padEnd(point, '0')}`;
}
