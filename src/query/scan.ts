import { Fault } from '../base/index.ts';

/** Characters that end an unquoted key or word. `!` ends one only before `=`. */
const endsWord = /[\s()"=<>~*:]/u;
/** In a value, where `:` cannot mean anything else: times and URLs need no quotes. */
const endsValue = /[\s()"=<>~*]/u;
const endsListed = /[\s()"=<>~*,]/u;

export type Bare = 'word' | 'value' | 'listed';
const ends = { word: endsWord, value: endsValue, listed: endsListed } as const satisfies Record<Bare, RegExp>;
const escapes: ReadonlyMap<string, string> = new Map([
  ['"', '"'],
  ['\\', '\\'],
  ['/', '/'],
  ['b', '\b'],
  ['f', '\f'],
  ['n', '\n'],
  ['r', '\r'],
  ['t', '\t'],
]);

/** A place in the text of a query. Positions count characters (UTF-16 units) from 1, as people and editors do. */
export class Scanner {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  get at(): number {
    return this.#at;
  }

  /** Back to a place where it has been. */
  set at(index: number) {
    this.#at = index;
  }

  get done(): boolean {
    return this.#at >= this.#text.length;
  }

  /** The next character; '' at the end. */
  peek(): string {
    return this.#text.charAt(this.#at);
  }

  starts(with_: string): boolean {
    return this.#text.startsWith(with_, this.#at);
  }

  /** Moves over `what` where it stands here. */
  take(what: string): boolean {
    if (!this.starts(what)) return false;
    this.#at += what.length;
    return true;
  }

  skipSpace(): void {
    while (!this.done && /\s/u.test(this.peek())) this.#at++;
  }

  /** Unquoted characters from here; '' where none can stand. */
  bare(kind: Bare): string {
    const start = this.#at;
    for (; !this.done && !ends[kind].test(this.peek()); this.#at++) {
      if (this.starts('!=')) break;
    }
    return this.#text.slice(start, this.#at);
  }

  /** Text in double quotes, with the escapes of JSON. The opening quote stands here. */
  quoted(): string {
    const open = this.#at++;
    let text = '';
    for (;;) {
      if (this.done) throw this.expected('closing "', this.#text.length, `for the one at position ${open + 1}`);
      const char = this.peek();
      this.#at++;
      if (char === '"') return text;
      if (char !== '\\') {
        text += char;
        continue;
      }
      const escaped = this.peek();
      const code = /^u[0-9a-fA-F]{4}/.exec(this.#text.slice(this.#at, this.#at + 5));
      if (code !== null) {
        text += String.fromCharCode(Number.parseInt(code[0].slice(1), 16));
        this.#at += 5;
      } else if (escapes.has(escaped)) {
        text += escapes.get(escaped);
        this.#at++;
      } else {
        throw this.expected(
          'one of \\" \\\\ \\n \\r \\t \\u0000',
          this.#at - 1,
          '; a backslash itself is written \\\\',
        );
      }
    }
  }

  /** A regular expression in double quotes: as it stands, but for `\"`, so that `\d` needs no second backslash. */
  quotedRegex(): string {
    const open = this.#at++;
    let text = '';
    for (;;) {
      if (this.done) throw this.expected('closing "', this.#text.length, `for the one at position ${open + 1}`);
      const char = this.peek();
      this.#at++;
      if (char === '"') return text;
      if (char === '\\' && !this.done) {
        text += this.peek() === '"' ? '"' : `\\${this.peek()}`;
        this.#at++;
      } else {
        text += char;
      }
    }
  }

  /** @param index Where it was expected; this place when left out. */
  expected(what: string, index = this.#at, more = ''): Fault {
    const gap = more === '' || more.startsWith(';') ? more : ` ${more}`;
    return new Fault('malformed', `expected ${what} at position ${index + 1}${gap}`, { parameter: 'query' });
  }
}
