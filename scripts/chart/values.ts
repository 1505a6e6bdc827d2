import { readFileSync } from 'node:fs';
import { isMap, isScalar, LineCounter, type Pair, parse, parseDocument, type YAMLMap } from 'yaml';

// values.yaml as the one source of the chart's schema, its reference and its list of images: every value with its comment, its
// default and what the line `# @schema {…}` above it says.

export const chartFolder: URL = new URL('../../k8s/helm/k8s-infra/', import.meta.url);

/** What `# @schema` may say: JSON Schema, and `podOptions` for a part that takes what `pods` has. */
type Hint = { readonly [key: string]: unknown };

/** A value of the chart. */
export interface Value {
  readonly key: string;
  /** `backend.wal.maxBytes` */
  readonly path: string;
  /** The comment above it, in one line, without the hint. Empty for maps that only hold others. */
  readonly comment: string;
  readonly hint: Hint;
  readonly default: unknown;
  /** What a map holds; undefined for what is given as a whole: scalars, lists, maps of free keys. */
  readonly children: readonly Value[] | undefined;
}

export function chartFile(name: string): string {
  return readFileSync(new URL(name, chartFolder), 'utf8');
}

/**
 * @param text values.yaml
 * @throws Error for a value that has no comment, and for a hint that cannot be read.
 */
export function readValues(text: string): readonly Value[] {
  const lines = text.split('\n');
  const lineCounter = new LineCounter();
  const document = parseDocument(text, { lineCounter });
  if (document.errors.length > 0) throw document.errors[0];
  if (!isMap(document.contents)) throw new Error('values.yaml holds no map');
  const read = (map: YAMLMap, at: string): Value[] =>
    map.items.map((pair: Pair) => {
      if (!isScalar(pair.key) || !pair.key.range) throw new Error(`a key under ${at} is no text`);
      const key = String(pair.key.value);
      const path = at === '' ? key : `${at}.${key}`;
      const { comment, hint } = above(lines, lineCounter.linePos(pair.key.range[0]).line - 1, path);
      const hasFreeKeys = 'additionalProperties' in hint && hint['additionalProperties'] !== false;
      const isHolder = isMap(pair.value) && pair.value.items.length > 0 && !hasFreeKeys && !('$ref' in hint);
      const children = isHolder ? read(pair.value as YAMLMap, path) : undefined;
      if (children === undefined && comment === '') throw new Error(`${path} has no comment`);
      const value = document.getIn(path === key ? [key] : path.split('.'), true);
      return { key, path, comment, hint, default: plain(value), children };
    });
  return read(document.contents as YAMLMap, '');
}

/** Keys that are looked for elsewhere → where they are: files/moved-values.yaml. */
export function movedValues(): ReadonlyMap<string, string> {
  return new Map(Object.entries(parse(chartFile('files/moved-values.yaml')) as Record<string, string>));
}

function plain(node: unknown): unknown {
  return node !== null && typeof node === 'object' && 'toJSON' in node ? (node as YAMLMap).toJSON() : node;
}

/** The comment lines right above a line. */
function above(lines: readonly string[], index: number, path: string): { comment: string; hint: Hint } {
  const words: string[] = [];
  let hint: Hint = {};
  for (let i = index - 1; i >= 0; i--) {
    const text = /^\s*# ?(.*)$/.exec(lines[i] ?? '')?.[1];
    if (text === undefined) break;
    const found = /^@schema (.*)$/.exec(text)?.[1];
    if (found === undefined) words.unshift(text.trim());
    else hint = parse(found) as Hint;
    if (typeof hint !== 'object' || hint === null) throw new Error(`${path}: \`@schema ${found}\` is no map`);
  }
  return { comment: words.join(' ').trim(), hint };
}
