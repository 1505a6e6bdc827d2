import { Fault } from '../base/index.ts';

// Regular expressions in RE2's syntax, matched in time linear in the text. JavaScript's own differ in syntax and backtrack:
// `(a+)+$` from a client would hold a thread for hours. Source: RE2 "Syntax"; Pike's machine as in Go's regexp/syntax.

/** Instructions of one compiled pattern: `(a{1000}){1000}` is refused. RE2 refuses a repetition over 1,000, too. */
const programMax = 20_000;
const repeatMax = 1_000;
const depthMax = 250;

type Node =
  | { readonly kind: 'empty' | 'begin' | 'end' | 'lineBegin' | 'lineEnd' | 'word' | 'notWord' }
  | { readonly kind: 'set'; readonly test: (code: number) => boolean }
  | { readonly kind: 'all' | 'any'; readonly of: readonly Node[] }
  | { readonly kind: 'repeat'; readonly of: Node; readonly min: number; readonly max: number };

interface Flags {
  readonly ignoreCase: boolean;
  readonly multiLine: boolean;
  readonly dotNewline: boolean;
}

/**
 * Compiles a pattern; unanchored.
 * @returns whether a text has a match.
 * @throws Fault `malformed`, parameter `query`, for what RE2 would refuse.
 */
export function compileRegex(pattern: string): (text: string) => boolean {
  const tree = new Parser(pattern).parse();
  const program = new Program(tree);
  return (text) => program.matches(text);
}

function refused(why: string): Fault {
  return new Fault('malformed', `not a regular expression (RE2): ${why}`, { parameter: 'query' });
}

// ------------------------------------------------------------------------------------------------ syntax

const digits = ranges('09');
const wordCharacters = ranges('09AZ__az');
const spaces = (code: number) => code === 32 || code === 9 || code === 10 || code === 12 || code === 13;
const perl: Readonly<Record<string, (code: number) => boolean>> = {
  d: digits,
  w: wordCharacters,
  s: spaces,
  D: not(digits),
  W: not(wordCharacters),
  S: not(spaces),
};
const posix: Readonly<Record<string, (code: number) => boolean>> = {
  alnum: ranges('09AZaz'),
  alpha: ranges('AZaz'),
  ascii: (code) => code < 128,
  blank: (code) => code === 9 || code === 32,
  cntrl: (code) => code < 32 || code === 127,
  digit: digits,
  graph: ranges('!~'),
  lower: ranges('az'),
  print: ranges(' ~'),
  punct: ranges('!/:@[`{~'),
  space: (code) => spaces(code) || code === 11,
  upper: ranges('AZ'),
  word: wordCharacters,
  xdigit: ranges('09AFaf'),
};
const controls: Readonly<Record<string, number>> = { a: 7, f: 12, t: 9, n: 10, r: 13, v: 11 };

class Parser {
  readonly #chars: readonly string[];
  #at = 0;
  #depth = 0;
  #flags: Flags = { ignoreCase: false, multiLine: false, dotNewline: false };

  constructor(pattern: string) {
    this.#chars = Array.from(pattern);
  }

  parse(): Node {
    const node = this.#alternatives();
    if (this.#at < this.#chars.length) throw refused('a closing ) without its opening one');
    return node;
  }

  #peek(ahead = 0): string | undefined {
    return this.#chars[this.#at + ahead];
  }

  #take(text: string): boolean {
    const chars = Array.from(text);
    if (!chars.every((char, index) => this.#peek(index) === char)) return false;
    this.#at += chars.length;
    return true;
  }

  #alternatives(): Node {
    if (++this.#depth > depthMax) throw refused('nested too deep');
    const branches: Node[] = [];
    do branches.push(this.#sequence());
    while (this.#take('|'));
    this.#depth--;
    return branches.length === 1 ? branches[0]! : { kind: 'any', of: branches };
  }

  #sequence(): Node {
    const parts: Node[] = [];
    for (let char = this.#peek(); char !== undefined && char !== '|' && char !== ')'; char = this.#peek()) {
      if (this.#take('\\Q')) {
        let last: Node | undefined;
        while (this.#at < this.#chars.length && !this.#take('\\E')) {
          if (last !== undefined) parts.push(last);
          last = this.#literal(this.#next());
        }
        if (last !== undefined) parts.push(this.#repeated(last));
        continue;
      }
      parts.push(this.#repeated(this.#atom()));
    }
    return parts.length === 1 ? parts[0]! : { kind: 'all', of: parts };
  }

  #next(): string {
    const char = this.#chars[this.#at++];
    if (char === undefined) throw refused('it ends where a character is missing');
    return char;
  }

  #repeated(atom: Node): Node {
    let node = atom;
    for (let times = 0; ; times++) {
      const bounds = this.#bounds();
      if (bounds === undefined) return node;
      if (times > 0) throw refused('a repetition of a repetition needs parentheses');
      this.#take('?'); // lazy or not: whether there is a match is the same
      node = { kind: 'repeat', of: node, ...bounds };
    }
  }

  #bounds(): { min: number; max: number } | undefined {
    if (this.#take('*')) return { min: 0, max: Number.POSITIVE_INFINITY };
    if (this.#take('+')) return { min: 1, max: Number.POSITIVE_INFINITY };
    if (this.#take('?')) return { min: 0, max: 1 };
    const counted = /^\{(\d{1,9})(,(\d{0,9}))?\}/.exec(this.#chars.slice(this.#at, this.#at + 24).join(''));
    if (counted === null) return undefined; // a { that begins no count stands for itself
    this.#at += counted[0].length;
    const min = Number(counted[1]);
    const max = counted[2] === undefined ? min : counted[3] === '' ? Number.POSITIVE_INFINITY : Number(counted[3]);
    if (min > repeatMax || (max !== Number.POSITIVE_INFINITY && max > repeatMax) || max < min) {
      throw refused(`a repetition of ${counted[0]}`);
    }
    return { min, max };
  }

  #atom(): Node {
    const char = this.#next();
    switch (char) {
      case '.':
        return { kind: 'set', test: this.#flags.dotNewline ? () => true : (code) => code !== 10 };
      case '^':
        return { kind: this.#flags.multiLine ? 'lineBegin' : 'begin' };
      case '$':
        return { kind: this.#flags.multiLine ? 'lineEnd' : 'end' };
      case '(':
        return this.#group();
      case '[':
        return this.#class();
      case '\\':
        return this.#escape();
      case '*':
      case '+':
      case '?':
        throw refused(`nothing for ${char} to repeat`);
      default:
        return this.#literal(char);
    }
  }

  #literal(char: string): Node {
    return this.#code(char.codePointAt(0)!);
  }

  #code(code: number): Node {
    const folded = this.#folding((each) => each === code);
    return { kind: 'set', test: folded };
  }

  #folding(test: (code: number) => boolean): (code: number) => boolean {
    if (!this.#flags.ignoreCase) return test;
    return (code) => {
      if (test(code)) return true;
      const char = String.fromCodePoint(code);
      return single(char.toLowerCase(), test) || single(char.toUpperCase(), test);
    };
  }

  #group(): Node {
    const outside = this.#flags;
    if (this.#take('?')) {
      if (this.#take('P<') || (this.#peek(1) !== '=' && this.#peek(1) !== '!' && this.#take('<'))) {
        let name = '';
        while (!this.#take('>')) name += this.#next();
        if (!/^\w+$/.test(name)) throw refused('a group needs a name of letters, digits and _');
      } else if (this.#readFlags()) {
        return { kind: 'empty' }; // for the rest of the group around it
      }
    }
    const inside = this.#alternatives();
    if (!this.#take(')')) throw refused('a closing ) is missing');
    this.#flags = outside;
    return inside;
  }

  /** What stands between `(?` and `:` or `)`. @returns true for `(?i)`, false for `(?i:`. */
  #readFlags(): boolean {
    const flags = { ...this.#flags };
    let on = true;
    for (;;) {
      const char = this.#next();
      if (char === 'i') flags.ignoreCase = on;
      else if (char === 'm') flags.multiLine = on;
      else if (char === 's') flags.dotNewline = on;
      else if (char === '-' && on) on = false;
      else if (char === ':' || char === ')') {
        this.#flags = flags;
        return char === ')';
      } else if (char !== 'U') throw refused(`(?${char}`); // U swaps greedy and lazy, which is the same here
    }
  }

  #class(): Node {
    const negated = this.#take('^');
    const tests: ((code: number) => boolean)[] = [];
    for (let first = true; ; first = false) {
      if (this.#peek() === undefined) throw refused('a closing ] is missing');
      if (!first && this.#take(']')) break;
      const named = /^\[:(\^?)(\w+):\]/.exec(this.#chars.slice(this.#at, this.#at + 16).join(''));
      if (named !== null) {
        const test = Object.hasOwn(posix, named[2]!) ? posix[named[2]!]! : undefined;
        if (test === undefined) throw refused(named[0]);
        this.#at += named[0].length;
        tests.push(named[1] === '' ? test : not(test));
        continue;
      }
      const low = this.#classMember();
      if (typeof low === 'function') {
        tests.push(low);
        continue;
      }
      if (this.#peek() !== '-' || this.#peek(1) === ']' || this.#peek(1) === undefined) {
        tests.push((code) => code === low);
        continue;
      }
      this.#at++;
      const high = this.#classMember();
      if (typeof high === 'function' || high < low) throw refused('a range of characters that ends before it begins');
      tests.push((code) => code >= low && code <= high);
    }
    const has = this.#folding((code) => tests.some((test) => test(code)));
    return { kind: 'set', test: negated ? not(has) : has };
  }

  #classMember(): number | ((code: number) => boolean) {
    if (!this.#take('\\')) return this.#next().codePointAt(0)!;
    return this.#escaped();
  }

  #escape(): Node {
    if (this.#take('A')) return { kind: 'begin' };
    if (this.#take('z')) return { kind: 'end' };
    if (this.#take('b')) return { kind: 'word' };
    if (this.#take('B')) return { kind: 'notWord' };
    const escaped = this.#escaped();
    if (typeof escaped === 'number') return this.#code(escaped);
    return { kind: 'set', test: this.#folding(escaped) };
  }

  /** What stands after a backslash: a character or a class of them. */
  #escaped(): number | ((code: number) => boolean) {
    const char = this.#next();
    if (Object.hasOwn(perl, char)) return perl[char]!;
    if (Object.hasOwn(controls, char)) return controls[char]!;
    if (char === 'p' || char === 'P') return this.#property(char === 'P');
    if (char === 'x') {
      const hex = /^(?:([0-9a-fA-F]{2})|\{([0-9a-fA-F]{1,6})\})/.exec(
        this.#chars.slice(this.#at, this.#at + 8).join(''),
      );
      const code = hex === null ? Number.NaN : Number.parseInt(hex[1] ?? hex[2] ?? '', 16);
      if (!(code <= 0x10ffff)) throw refused('\\x without two digits');
      this.#at += hex![0].length;
      return code;
    }
    const octal = /^(?:0[0-7]{0,2}|[1-7][0-7]{1,2})/.exec(char + this.#chars.slice(this.#at, this.#at + 2).join(''));
    if (octal !== null) {
      this.#at += octal[0].length - 1;
      return Number.parseInt(octal[0], 8);
    }
    if (/^[\p{L}\p{N}]$/u.test(char)) throw refused(`\\${char}`);
    return char.codePointAt(0)!;
  }

  #property(negated: boolean): (code: number) => boolean {
    let name = this.#next();
    if (name === '{') {
      name = '';
      while (!this.#take('}')) name += this.#next();
    }
    const inverted = name.startsWith('^');
    const bare = inverted ? name.slice(1) : name;
    const test = unicodeProperty(bare);
    if (test === undefined) throw refused(`\\p{${bare}}`);
    return negated === inverted ? test : not(test);
  }
}

function unicodeProperty(name: string): ((code: number) => boolean) | undefined {
  if (!/^\w+$/.test(name)) return undefined;
  for (const property of [name, `Script=${name}`]) {
    try {
      const tester = new RegExp(`^\\p{${property}}$`, 'u');
      return (code) => tester.test(String.fromCodePoint(code));
    } catch {
      // Not a general category: perhaps a script.
    }
  }
  return undefined;
}

function single(text: string, test: (code: number) => boolean): boolean {
  const code = text.codePointAt(0)!;
  return text.length === (code > 0xffff ? 2 : 1) && test(code);
}

/** Pairs of first and last characters. */
function ranges(pairs: string): (code: number) => boolean {
  const bounds = Array.from(pairs, (char) => char.charCodeAt(0));
  return (code) => {
    for (let i = 0; i < bounds.length; i += 2) if (code >= bounds[i]! && code <= bounds[i + 1]!) return true;
    return false;
  };
}

function not(test: (code: number) => boolean): (code: number) => boolean {
  return (code) => !test(code);
}

// ----------------------------------------------------------------------------------------------- machine

const opSet = 0; // goes on to the next instruction over a character
const opSplit = 1; // goes to `x` and to `y`
const opAssert = 2;
const opMatch = 3;

type Assertion = 'begin' | 'end' | 'lineBegin' | 'lineEnd' | 'word' | 'notWord';

interface Instruction {
  readonly op: number;
  readonly test: ((code: number) => boolean) | undefined;
  readonly assertion: Assertion | undefined;
  x: number;
  y: number;
}

/** All places in the pattern that the text so far can lead to are followed at once: each character is looked at once. */
class Program {
  readonly #code: Instruction[] = [];

  constructor(tree: Node) {
    this.#emit(tree);
    this.#add(opMatch);
  }

  matches(text: string): boolean {
    const size = this.#code.length;
    let current = new Places(size);
    let next = new Places(size);
    let before = -1;
    for (let at = 0; ; ) {
      const code = at < text.length ? text.codePointAt(at)! : -1;
      // Unanchored: a match may begin at each character.
      if (this.#follow(current, 0, before, code)) return true;
      if (code < 0) return false;
      next.clear();
      at += code > 0xffff ? 2 : 1;
      const after = at < text.length ? text.codePointAt(at)! : -1;
      for (let index = 0; index < current.size; index++) {
        const place = current.at(index);
        const instruction = this.#code[place]!;
        if (instruction.op === opSet && instruction.test!(code) && this.#follow(next, place + 1, code, after))
          return true;
      }
      [current, next] = [next, current];
      before = code;
    }
  }

  /** Adds a place and all that it leads to without a character. @returns true where that is the end of the pattern. */
  #follow(places: Places, start: number, before: number, after: number): boolean {
    const stack = [start];
    for (let place = stack.pop(); place !== undefined; place = stack.pop()) {
      if (!places.add(place)) continue;
      const { op, assertion, x, y } = this.#code[place]!;
      if (op === opMatch) return true;
      if (op === opSplit) stack.push(y, x);
      else if (op === opAssert && holds(assertion!, before, after)) stack.push(place + 1);
    }
    return false;
  }

  #add(op: number, test?: (code: number) => boolean, assertion?: Assertion): Instruction {
    if (this.#code.length >= programMax) throw refused('too large');
    const instruction: Instruction = { op, test, assertion, x: 0, y: 0 };
    this.#code.push(instruction);
    return instruction;
  }

  #emit(node: Node): void {
    switch (node.kind) {
      case 'empty':
        return;
      case 'set':
        this.#add(opSet, node.test);
        return;
      case 'all':
        for (const part of node.of) this.#emit(part);
        return;
      case 'any': {
        const jumps: Instruction[] = [];
        for (const [index, branch] of node.of.entries()) {
          if (index === node.of.length - 1) {
            this.#emit(branch);
            break;
          }
          const split = this.#add(opSplit);
          split.x = this.#code.length;
          this.#emit(branch);
          jumps.push(this.#add(opSplit));
          split.y = this.#code.length;
        }
        for (const jump of jumps) jump.x = jump.y = this.#code.length;
        return;
      }
      case 'repeat': {
        for (let times = 0; times < node.min; times++) this.#emit(node.of);
        if (node.max === Number.POSITIVE_INFINITY) {
          const begin = this.#code.length;
          const split = this.#add(opSplit);
          split.x = this.#code.length;
          this.#emit(node.of);
          const back = this.#add(opSplit);
          back.x = back.y = begin;
          split.y = this.#code.length;
          return;
        }
        const splits: Instruction[] = [];
        for (let times = node.min; times < node.max; times++) {
          const split = this.#add(opSplit);
          split.x = this.#code.length;
          splits.push(split);
          this.#emit(node.of);
        }
        for (const split of splits) split.y = this.#code.length;
        return;
      }
      default:
        this.#add(opAssert, undefined, node.kind);
    }
  }
}

/** A set of numbers below a bound that is cleared at once. */
class Places {
  readonly #dense: Uint16Array;
  readonly #sparse: Uint16Array;
  size = 0;

  constructor(bound: number) {
    this.#dense = new Uint16Array(bound);
    this.#sparse = new Uint16Array(bound);
  }

  at(index: number): number {
    return this.#dense[index]!;
  }

  /** False where it was there. */
  add(place: number): boolean {
    const index = this.#sparse[place]!;
    if (index < this.size && this.#dense[index] === place) return false;
    this.#sparse[place] = this.size;
    this.#dense[this.size++] = place;
    return true;
  }

  clear(): void {
    this.size = 0;
  }
}

/** -1 stands before the first and after the last character. */
function holds(assertion: Assertion, before: number, after: number): boolean {
  switch (assertion) {
    case 'begin':
      return before < 0;
    case 'end':
      return after < 0;
    case 'lineBegin':
      return before < 0 || before === 10;
    case 'lineEnd':
      return after < 0 || after === 10;
    case 'word':
      return wordCharacters(before) !== wordCharacters(after);
    case 'notWord':
      return wordCharacters(before) === wordCharacters(after);
  }
}
