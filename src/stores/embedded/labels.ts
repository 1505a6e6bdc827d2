import { labelName, plainAttributes, plainValue, promotedResourceAttributes, Reader } from '../../otlp/index.ts';
import type { Json } from '../contract.ts';

// Labels of series by the Prometheus OTLP translation. Pure. Source: prometheus storage/remote/otlptranslator.
//
// What a point says and what its resource says stay apart, as each repeats: a series has the labels of its point, where that
// has none of that name those of its resource, and in any case its resource's `job` and `instance`.

export interface Labels {
  readonly [name: string]: string;
}

/** Labels that a resource tells, whatever its points say. */
export const identityLabels: ReadonlySet<string> = new Set(['job', 'instance']);

/** The labels of a series. */
export function seriesLabels(point: Labels, resource: Labels): Labels {
  const labels: Record<string, string> = { ...resource, ...point };
  for (const name of identityLabels) {
    const value = resource[name];
    if (value !== undefined) labels[name] = value;
  }
  return labels;
}

/** @param resource A Resource message. @returns its promoted attributes, `job` and `instance`. */
export function resourceLabels(resource: Uint8Array): Labels {
  const attributes = plainAttributes(resource, 0, resource.length, 1);
  const text = (key: string) => (Object.hasOwn(attributes, key) ? labelValue(attributes[key]!) : '');
  const labels = new Map<string, string>();
  for (const key of promotedResourceAttributes) labels.set(labelName(key), text(key));
  const service = text('service.name');
  const namespace = text('service.namespace');
  if (service !== '') labels.set('job', namespace === '' ? service : `${namespace}/${service}`);
  labels.set('instance', text('service.instance.id'));
  return withoutEmpty(labels);
}

/** Label names of keys, of which there are few. */
const names = new Map<string, string>();
const namesMax = 4096;

/**
 * Attributes that become the same label are joined by ';', in the order of their keys. None becomes `__name__`.
 * @param field Number of the repeated KeyValue field of the message between `start` and `end`.
 */
export function pointLabels(bytes: Uint8Array, start: number, end: number, field: number): Labels {
  const own: [string, string][] = [];
  const message = new Reader(bytes, start, end);
  while (message.next()) {
    if (message.field !== field) continue;
    const pair = message.message();
    let key = '';
    let value: Json = null;
    while (pair.next()) {
      if (pair.field === 1) key = pair.string();
      else if (pair.field === 2) value = plainValue(bytes, pair.valueStart, pair.valueEnd);
    }
    own.push([key, labelValue(value)]);
  }
  own.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  const labels = new Map<string, string>();
  for (const [key, value] of own) {
    let name = names.get(key);
    if (name === undefined) {
      name = labelName(key);
      if (names.size >= namesMax) names.clear();
      names.set(key, name);
    }
    if (name === '') continue;
    const before = labels.get(name);
    labels.set(name, before === undefined ? value : `${before};${value}`);
  }
  labels.delete('__name__');
  return withoutEmpty(labels);
}

/** A label that is empty is as if it were absent. */
function withoutEmpty(labels: ReadonlyMap<string, string>): Labels {
  return Object.fromEntries([...labels].filter(([, value]) => value !== ''));
}

function labelValue(value: Json): string {
  return value === null ? '' : typeof value === 'string' ? value : JSON.stringify(value);
}
