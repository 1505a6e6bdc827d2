// The query language's meaning, as data: parsed in `query/`, answered by each store. Contract, section 3.

export const intrinsics = [
  'service',
  'name',
  'kind',
  'status',
  'duration',
  'severity',
  'body',
  'trace_id',
  'span_id',
] as const;
export type Intrinsic = (typeof intrinsics)[number];

export type Field =
  | { readonly scope: 'intrinsic'; readonly name: Intrinsic }
  /** An attribute. `any`: the record's own first, then the resource's. `record`: written `span.key` or `log.key`. */
  | { readonly scope: 'any' | 'record' | 'resource'; readonly key: string };

/** A value as it was written, with what else it can be read as. */
export interface Literal {
  readonly text: string;
  /** Where `text` is unquoted and reads as a number. Compared with numeric attributes as a number. */
  readonly number: number | undefined;
  /** Where `text` is unquoted and reads as `250ms`, `1.5s`, …; the `duration` intrinsic wants one (a bare number is refused there). */
  readonly durationNanos: bigint | undefined;
}

/**
 * A condition on one record.
 * - `text`: case-insensitive substring: of a log record's body (its JSON text where it is structured); of a span's name,
 *   status message, event names and exception messages.
 * - `=`: an attribute equals where its value as text equals, or where both are numbers and equal. `!=` is NOT `=`, so it
 *   holds where the key is absent. An array equals where one of its elements does.
 * - `>`, `>=`, `<`, `<=`: numbers as numbers (a numeric string counts as one); absent or not a number: false.
 * - `regex`: RE2 syntax, unanchored, on the value as text. `exists`: the key is there, whatever its value.
 * - intrinsics: `status` is unset, ok or error; `kind` is internal, server, client, producer, consumer or unspecified;
 *   `severity` compares by number, its names (trace … fatal, any case) standing for their range: `severity=error` is 17–20,
 *   `severity>=warn` is ≥ 13; ids match case-insensitively.
 */
export type Filter =
  | { readonly kind: 'all' }
  | { readonly kind: 'and' | 'or'; readonly of: readonly Filter[] }
  | { readonly kind: 'not'; readonly of: Filter }
  | { readonly kind: 'text'; readonly text: string }
  | {
      readonly kind: 'compare';
      readonly field: Field;
      readonly op: '=' | '!=' | '>' | '>=' | '<' | '<=';
      readonly value: Literal;
    }
  | { readonly kind: 'in'; readonly field: Field; readonly values: readonly Literal[] }
  | { readonly kind: 'regex'; readonly field: Field; readonly pattern: string }
  | { readonly kind: 'exists'; readonly field: Field };
