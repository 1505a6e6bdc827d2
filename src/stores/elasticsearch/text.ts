// Substrings of a text, as conditions on the tokens that Elasticsearch's standard analyzer made of it. What a text with the
// substring must have is asked for; whether it has the substring is then looked at. Source: UAX #29, "Word Boundaries".

/**
 * Letters, digits and `_` between which no token ever ends. Not those whose case is not the same letter everywhere: I with a
 * dot, the signs for Kelvin and Ångström, the long s and the sharp s.
 */
const fragments = /[A-Za-z0-9_\u00c0-\u00de\u00e0-\u00ff\u0100-\u012f\u0132-\u017e\u0400-\u045f]+/g;
const notLetters = /[\u00d7\u00f7]/;
/** ASCII that ends a token whatever stands around it; `.`, `'`, `,`, `;` and `:` may join two. */
const ends = /[\s!"#$%&()*+\-/<=>?@[\\\]^`{|}~]/;

/** Of one token, as the index has it: in lower case. */
export interface Fragment {
  readonly text: string;
  /** Whether the token begins, or ends, with it for sure. */
  readonly begins: boolean;
  readonly ends: boolean;
}

/**
 * @returns Every text that contains `text`, in whatever case, has tokens that contain these. `whole`: and every text that has
 *   them contains it.
 */
export function fragmentsOf(text: string): { fragments: Fragment[]; whole: boolean } {
  const found: Fragment[] = [];
  for (const match of text.matchAll(fragments)) {
    // Underscores join letters and digits; by themselves they make no token.
    if (notLetters.test(match[0]) || /^_+$/.test(match[0])) continue;
    const before = text[match.index - 1];
    const after = text[match.index + match[0].length];
    found.push({
      text: match[0].toLowerCase(),
      begins: before !== undefined && ends.test(before),
      ends: after !== undefined && ends.test(after),
    });
  }
  return { fragments: found, whole: found.length === 1 && found[0]!.text.length === text.length };
}

/**
 * The longest run of characters that every match of an expression has: what stands in it as it is, outside of groups, classes
 * and alternatives. '' where there is none.
 */
export function literalIn(pattern: string): string {
  if (/[|]|\(\?/.test(pattern)) return '';
  let longest = '';
  let run = '';
  const end = () => {
    if (run.length > longest.length) longest = run;
    run = '';
  };
  let depth = 0;
  const chars = Array.from(pattern);
  for (let at = 0; at < chars.length; at++) {
    let char = chars[at]!;
    const isEscape = char === '\\';
    if (isEscape) {
      char = chars[++at] ?? '';
      if (/[A-Za-z0-9]/.test(char)) return ''; // a class, a number or a quotation
    } else if (char === '[') {
      // A class may hold anything: what follows it is not looked at.
      end();
      return depth === 0 ? longest : '';
    } else if ('(){}*+?.^$'.includes(char)) {
      if (char === '(') depth++;
      if (char === ')') depth--;
      if (char === '{' || char === '*' || char === '?') run = run.slice(0, -1);
      end();
      if (char === '{') while (at < chars.length && chars[at] !== '}') at++;
      continue;
    }
    if (depth === 0) run += char;
  }
  end();
  return longest;
}
