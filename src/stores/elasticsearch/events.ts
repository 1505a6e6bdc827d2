import { type Json, plainValue } from '../../otlp/index.ts';

// Kubernetes events among the records, as the Collector's receivers send them: k8s_events with attributes, k8s_objects with
// the whole object as body. Whichever it was, the object is found by the same fields of the index.

/** What a Kubernetes event is about; what it does not say is undefined. */
export interface KubernetesEvent {
  readonly kind: string | undefined;
  readonly namespace: string | undefined;
  readonly name: string | undefined;
  readonly uid: string | undefined;
  readonly reason: string | undefined;
  /** Normal or Warning. */
  readonly type: string | undefined;
}

/**
 * The event in a body of the k8s_objects receiver: the object itself, or `{type, object}` where it was watched.
 * Of events of core/v1 and of events.k8s.io/v1.
 * @param start bounds of the AnyValue in `bytes`.
 */
export function eventInBody(bytes: Uint8Array, start: number, end: number): KubernetesEvent | undefined {
  const body = objectIn(plainValue(bytes, start, end));
  if (body === undefined) return undefined;
  const event = objectIn(body['object']) ?? body;
  const about = objectIn(event['involvedObject']) ?? objectIn(event['regarding']);
  if (about === undefined) return undefined;
  return {
    kind: textIn(about['kind']),
    namespace: textIn(about['namespace']) ?? textIn(objectIn(event['metadata'])?.['namespace']),
    name: textIn(about['name']),
    uid: textIn(about['uid']),
    reason: textIn(event['reason']),
    type: textIn(event['type']),
  };
}

function objectIn(value: Json | undefined): { [key: string]: Json } | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined;
}

function textIn(value: Json | undefined): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}
