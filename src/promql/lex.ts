import { Fault } from '../base/index.ts';

type TokenKind = 'identifier' | 'string' | 'number' | 'duration' | 'punctuation' | 'end';

export interface Token {
  readonly kind: TokenKind;
  /** As it is written; of a string its value. */
  readonly text: string;
  /** Index of its first character. */
  readonly at: number;
}

const space = /(?:\s|#[^\n]*)*/y;
const patterns = [
  // Before numbers: `5m` is one duration. Units in this order only, as Prometheus has it; each at most once.
  ['duration', /(?=\d)(?:\d+y)?(?:\d+w)?(?:\d+d)?(?:\d+h)?(?:\d+m(?!s))?(?:\d+s)?(?:\d+ms)?(?<=[a-z])(?![\w.])/y],
  ['number', /0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?/y],
  ['identifier', /[a-zA-Z_:][\w:]*/y],
  ['punctuation', /=~|!~|!=|==|>=|<=|[-+*/%^=<>(){}[\],@:]/y],
] as const satisfies readonly (readonly [TokenKind, RegExp])[];
const strings = /"(?:[^"\\\n]|\\[^\n])*"|'(?:[^'\\\n]|\\[^\n])*'|`[^`]*`/y;
const escapes: ReadonlyMap<string, string> = new Map(
  Object.entries({ a: '\x07', b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', v: '\v', '\\': '\\', "'": "'", '"': '"' }),
);
const escapeForm = /\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(.))/gsu;

/**
 * Splits an expression.
 * @returns Tokens in order, the last of kind `end`.
 * @throws Fault `malformed` with the position, counted from 1.
 */
export function lex(text: string): readonly Token[] {
  const tokens: Token[] = [];
  let at = skip(text, 0);
  while (at < text.length) {
    const token = stringAt(text, at) ?? tokenAt(text, at);
    tokens.push(token.token);
    at = skip(text, token.end);
  }
  tokens.push({ kind: 'end', text: '', at: text.length });
  return tokens;
}

export function malformed(message: string, at: number): Fault {
  return new Fault('malformed', `${message} at position ${at + 1}`, { parameter: 'query' });
}

function skip(text: string, at: number): number {
  space.lastIndex = at;
  space.exec(text);
  return space.lastIndex;
}

function tokenAt(text: string, at: number): { token: Token; end: number } {
  for (const [kind, pattern] of patterns) {
    pattern.lastIndex = at;
    const [found] = pattern.exec(text) ?? [''];
    if (found !== '') return { token: { kind, text: found, at }, end: at + found.length };
  }
  throw malformed('unexpected character', at);
}

function stringAt(text: string, at: number): { token: Token; end: number } | undefined {
  const quote = text.charAt(at);
  if (!'"\'`'.includes(quote)) return undefined;
  strings.lastIndex = at;
  const [found] = strings.exec(text) ?? [''];
  if (found === '') throw malformed('expected a closing quote for the one', at);
  const inside = found.slice(1, -1);
  const value = quote === '`' ? inside : unescaped(inside, at + 1);
  return { token: { kind: 'string', text: value, at }, end: at + found.length };
}

/** Escapes of Go's strings. */
function unescaped(text: string, at: number): string {
  return text.replaceAll(escapeForm, (_, x, u, U, octal, single, index: number) => {
    const hex: string | undefined = x ?? u ?? U;
    if (hex !== undefined || octal !== undefined) {
      const code = hex === undefined ? Number.parseInt(octal, 8) : Number.parseInt(hex, 16);
      if (code > 0x10ffff) throw malformed('expected a Unicode code point', at + index);
      return String.fromCodePoint(code);
    }
    const char = escapes.get(single);
    if (char === undefined) throw malformed(`unknown escape \\${single}`, at + index);
    return char;
  });
}
