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
 *   `severity>=warn` is ≥ 13, `severity=unset` what is none of them; ids match case-insensitively.
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

// Fields as text, in answers and in parameters. The same grammar as in a query: `http.route`, `resource.k8s.pod.name`,
// `span.key` or `log.key`, an intrinsic; in quotes (JSON's) what would be read as something else: `"status"`, `resource."a b"`.

const prefixes = { 'resource.': 'resource', 'span.': 'record', 'log.': 'record' } as const;
/**
 * `log.` is also a namespace of the semantic conventions (log.file.path, log.iostream, log.record.uid), and keys are
 * written as they are: these are attributes, not the log's own `file.path`.
 */
const logNamespace = /^log\.(file|record)\.|^log\.iostream$/;
const quotedName = /^(resource\.|span\.|log\.|)("(?:[^"\\]|\\.)*")$/s;

/** The field that a name stands for. Every text names one. */
export function fieldNamed(name: string): Field {
  if ((intrinsics as readonly string[]).includes(name)) return { scope: 'intrinsic', name: name as Intrinsic };
  const [, prefix = '', text = ''] = quotedName.exec(name) ?? [];
  const key = unquoted(text);
  if (key !== undefined) return { scope: prefix === '' ? 'any' : prefixes[prefix as keyof typeof prefixes], key };
  for (const [each, scope] of Object.entries(prefixes)) {
    if (name.startsWith(each) && name.length > each.length && !logNamespace.test(name)) {
      return { scope, key: name.slice(each.length) };
    }
  }
  return { scope: 'any', key: name };
}

/** The name of a field; `fieldNamed` reads it back. */
export function fieldName(field: Field): string {
  if (field.scope === 'intrinsic') return field.name;
  const prefix = field.scope === 'any' ? '' : field.scope === 'resource' ? 'resource.' : 'span.';
  const name = `${prefix}${field.key}`;
  const read = fieldNamed(name);
  const isSame = read.scope === field.scope && read.key === field.key;
  return isSame && isPlain(name) ? name : `${prefix}${JSON.stringify(field.key)}`;
}

/** Whether `text` needs no quotes in a query. Stricter than what is read without, so that it is safe in a URL and a shell. */
export function isPlain(text: string): boolean {
  return /^[\p{L}\p{N}_./@%+-]+$/u.test(text) && !/^(AND|OR|NOT)$/.test(text);
}

function unquoted(text: string): string | undefined {
  if (text === '') return undefined;
  try {
    return JSON.parse(text) as string;
  } catch {
    return undefined; // an escape that JSON does not have: the text is a key as it is
  }
}
