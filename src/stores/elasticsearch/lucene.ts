import { expressionCharsMax, repeatMax } from './limits.ts';

// Expressions in RE2's syntax as Lucene's: the part of them that both have. What is not translated is matched by us, over what
// Elasticsearch finds by the other conditions. Sources: RE2 "Syntax"; Lucene, RegExp (flags NONE).

const any = '.*';
/** Lucene's `.` is any character, RE2's any but a newline. */
const notNewline = '[^\n]';
const perl: Readonly<Record<string, string>> = { d: '0-9', w: 'A-Za-z0-9_', s: ' \t\n\f\r' };
const controls: Readonly<Record<string, string>> = { a: '\x07', f: '\f', t: '\t', n: '\n', r: '\r', v: '\v' };

/** One or more characters as they are. */
export function literal(text: string): string {
  // eslint-like tools read this as ranges: it is every ASCII character that is neither letter nor digit.
  return text.replaceAll(/[!-/:-@[-`{-~]/g, '\\$&');
}

/**
 * @param pattern RE2, checked to be one, unanchored.
 * @returns The same for a whole text in Lucene's syntax; undefined where it has a part that Lucene has not.
 */
export function luceneRegex(pattern: string): string | undefined {
  const ignoreCase = pattern.startsWith('(?i)');
  const translation = new Translation(ignoreCase ? pattern.slice(4) : pattern, ignoreCase);
  const translated = translation.whole();
  return translated !== undefined && translated.length <= expressionCharsMax ? translated : undefined;
}

class Translation {
  readonly #chars: readonly string[];
  readonly #ignoreCase: boolean;
  #at = 0;

  constructor(pattern: string, ignoreCase: boolean) {
    this.#chars = Array.from(pattern);
    this.#ignoreCase = ignoreCase;
  }

  whole(): string | undefined {
    const branches: string[] = [];
    for (;;) {
      const fromStart = this.#take('^');
      const sequence = this.#sequence();
      if (sequence === undefined) return undefined;
      const toEnd = this.#take('$');
      branches.push(`${fromStart ? '' : any}${sequence}${toEnd ? '' : any}`);
      if (this.#at >= this.#chars.length) break;
      if (!this.#take('|')) return undefined;
    }
    return branches.length === 1 ? branches[0] : `(${branches.map((branch) => branch || '()').join('|')})`;
  }

  #take(char: string): boolean {
    if (this.#chars[this.#at] !== char) return false;
    this.#at++;
    return true;
  }

  #alternatives(): string | undefined {
    const branches: string[] = [];
    do {
      const sequence = this.#sequence();
      if (sequence === undefined) return undefined;
      branches.push(sequence || '()');
    } while (this.#take('|'));
    return branches.join('|');
  }

  #sequence(): string | undefined {
    let out = '';
    for (let char = this.#chars[this.#at]; char !== undefined && !'|)$'.includes(char); char = this.#chars[this.#at]) {
      const atom = this.#atom();
      const repeated = atom === undefined ? undefined : this.#repeated(atom);
      if (repeated === undefined) return undefined;
      out += repeated;
    }
    return out;
  }

  #repeated(atom: string): string | undefined {
    const char = this.#chars[this.#at];
    if (char === '*' || char === '+' || char === '?') {
      this.#at++;
      this.#take('?'); // lazy or not: whether there is a match is the same
      return `${atom}${char}`;
    }
    if (char !== '{') return atom;
    const counted = /^\{(\d{1,3})(,(\d{0,3}))?\}/.exec(this.#chars.slice(this.#at, this.#at + 9).join(''));
    if (counted === null || Number(counted[1]) > repeatMax || Number(counted[3] ?? 0) > repeatMax) return undefined;
    this.#at += counted[0].length;
    this.#take('?');
    return `${atom}${counted[0]}`;
  }

  #atom(): string | undefined {
    const char = this.#chars[this.#at++]!;
    switch (char) {
      case '.':
        return notNewline;
      case '^':
        return undefined;
      case '(': {
        if (this.#take('?') && !this.#take(':')) return undefined;
        const inside = this.#alternatives();
        return inside !== undefined && this.#take(')') ? `(${inside})` : undefined;
      }
      case '[':
        return this.#class();
      case '\\': {
        const escaped = this.#chars[this.#at++];
        if (escaped === undefined) return undefined;
        const set = perl[escaped.toLowerCase()];
        if (set !== undefined) return `[${escaped === escaped.toLowerCase() ? '' : '^'}${set}]`;
        const known = escapedChar(escaped);
        return known === undefined ? undefined : this.#char(known);
      }
      default:
        return this.#char(char);
    }
  }

  #char(char: string): string | undefined {
    if (!this.#ignoreCase || !/\p{L}/u.test(char)) return literal(char);
    if (!/[A-Za-z]/.test(char)) return undefined;
    // The Kelvin sign and the long s are of the same letter.
    const more = /k/i.test(char) ? '\u212a' : /s/i.test(char) ? '\u017f' : '';
    return `[${char.toLowerCase()}${char.toUpperCase()}${more}]`;
  }

  #class(): string | undefined {
    if (this.#ignoreCase) return undefined;
    let out = this.#take('^') ? '[^' : '[';
    for (let first = true; ; first = false) {
      if (!first && this.#take(']')) return `${out}]`;
      const low = this.#member();
      if (low === undefined) return undefined;
      out += low;
      if (this.#chars[this.#at] !== '-' || this.#chars[this.#at + 1] === ']') continue;
      this.#at++;
      const high = this.#member();
      if (high === undefined || isSet(low) || isSet(high)) return undefined;
      out += `-${high}`;
    }
  }

  #member(): string | undefined {
    const char = this.#chars[this.#at++];
    if (char === undefined || char === '[') return undefined;
    if (char !== '\\') return literal(char);
    const escaped = this.#chars[this.#at++];
    if (escaped === undefined) return undefined;
    if (Object.hasOwn(perl, escaped)) return perl[escaped];
    const known = escapedChar(escaped);
    return known === undefined ? undefined : literal(known);
  }
}

function isSet(member: string): boolean {
  return Object.values(perl).includes(member);
}

/** What a backslash makes of a character: a control or the character itself; undefined for a class or a number. */
function escapedChar(char: string): string | undefined {
  if (Object.hasOwn(controls, char)) return controls[char];
  return /^[!-/:-@[-`{-~]$/.test(char) ? char : undefined;
}
