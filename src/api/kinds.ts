/** SpanKind by its number in OTLP, spelt as the query language spells it. */
export const spanKinds = ['unspecified', 'internal', 'server', 'client', 'producer', 'consumer'] as const;

/** A number that OTLP does not know yet is unspecified, as the specification says for receivers. */
export function spanKindOf(kind: number): (typeof spanKinds)[number] {
  return spanKinds[kind] ?? 'unspecified';
}
