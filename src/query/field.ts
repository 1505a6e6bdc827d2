import { Fault } from '../base/index.ts';
import { type Field, type Intrinsic, intrinsics } from '../stores/filter.ts';
import { plain, Scanner } from './scan.ts';

/**
 * `log.` is an attribute namespace of the semantic conventions too (log.file.path, log.iostream, log.record.uid), and
 * keys are written as they are: these are attributes, not the log's own `file.path`.
 */
const logNamespace = /^log\.(file|record)\.|^log\.iostream$/;
const prefixes = { 'resource.': 'resource', 'span.': 'record', 'log.': 'record' } as const;

/** The field that an unquoted key names. */
export function fieldOf(key: string): Field {
  if (isIntrinsic(key)) return { scope: 'intrinsic', name: key };
  const prefix = prefixOf(key);
  if (prefix !== undefined && key.length > prefix.length)
    return { scope: prefixes[prefix], key: key.slice(prefix.length) };
  return { scope: 'any', key };
}

/** The field that a quoted key names, with what stands before the quote: '' or a prefix such as `resource.`. */
export function quotedField(prefix: string, key: string): Field | undefined {
  if (prefix === '') return { scope: 'any', key };
  return prefix in prefixes ? { scope: prefixes[prefix as keyof typeof prefixes], key } : undefined;
}

/** A field as the query language writes it; `parseField` reads it back. */
export function printField(field: Field): string {
  if (field.scope === 'intrinsic') return field.name;
  const prefix = field.scope === 'any' ? '' : field.scope === 'resource' ? 'resource.' : 'span.';
  const bare = `${prefix}${field.key}`;
  return plain(bare) && sameField(fieldOf(bare), field) ? bare : `${prefix}${JSON.stringify(field.key)}`;
}

/**
 * Reads the name of a field, such as a path parameter holds.
 * @throws Fault `malformed` with the parameter `name`.
 */
export function parseField(text: string): Field {
  const scan = new Scanner(text);
  const open = text.indexOf('"');
  if (open >= 0 && text.endsWith('"') && (open === 0 || text.slice(0, open) in prefixes)) {
    scan.take(text.slice(0, open));
    const field = quotedField(text.slice(0, open), scan.quoted());
    if (field !== undefined && scan.done) return field;
  }
  if (text === '') throw new Fault('malformed', 'expected the name of a field', { parameter: 'name' });
  return fieldOf(text);
}

function sameField(a: Field, b: Field): boolean {
  if (a.scope === 'intrinsic' || b.scope === 'intrinsic') return false;
  return a.scope === b.scope && a.key === b.key;
}

function isIntrinsic(key: string): key is Intrinsic {
  return (intrinsics as readonly string[]).includes(key);
}

function prefixOf(key: string): keyof typeof prefixes | undefined {
  if (logNamespace.test(key)) return undefined;
  return (Object.keys(prefixes) as (keyof typeof prefixes)[]).find((prefix) => key.startsWith(prefix));
}
