import { describe, expect, it } from 'vitest';
import { literal, luceneRegex } from './lucene.ts';
import { fragmentsOf, literalIn } from './text.ts';

describe('an expression as Lucene writes it', () => {
  it.each([
    ['abc', '.*abc.*'],
    ['^abc$', 'abc'],
    ['^a|b$', '(a.*|.*b)'],
    ['a.c', '.*a[^\n]c.*'],
    ['\\d+\\.\\d', '.*[0-9]+\\.[0-9].*'],
    ['[^\\s-]', '.*[^ \t\n\f\r\\-].*'],
    ['[a-f0-9]{2,3}?', '.*[a-f0-9]{2,3}.*'],
    ['(?:a|)b', '.*(a|())b.*'],
    ['a"#&~@<>', '.*a\\"\\#\\&\\~\\@\\<\\>.*'],
    ['(?i)Ok1', '.*[oO][kK\u212a]1.*'],
    ['', '.*.*'],
    ['^$', ''],
  ])('%s', (pattern, expected) => expect(luceneRegex(pattern)).toBe(expected));

  it.each([
    '\\bword',
    '(?m)^a',
    'a(?i)b',
    '\\pL',
    '[[:alpha:]]',
    'a{60}',
    '(^a)',
    'a$b',
    '(?i)ä',
    '(?i)[a-c]',
    '(?P<n>a)',
    'x'.repeat(1_000),
  ])('not %s: that is matched by us', (pattern) => expect(luceneRegex(pattern)).toBeUndefined());

  it('what is to be found as it is has a backslash before all but letters and digits', () => {
    expect(literal('aÄ1.*"')).toBe('aÄ1\\.\\*\\"');
  });
});

describe('what every match of an expression has', () => {
  it.each([
    ['line 1[0-4]', 'line 1'],
    ['timeout after \\d+ ms', ''],
    ['colou?r is', 'colo'],
    ['(error|warn) in pay', ''],
    ['(error) in pay', ' in pay'],
    ['connection to .* refused', 'connection to '],
    ['a{3}bc', 'bc'],
    ['refused\\.', 'refused.'],
    ['(?i)refused', ''],
  ])('%s', (pattern, expected) => expect(literalIn(pattern)).toBe(expected));
});

describe('what tokens every text with a substring has', () => {
  const drawn = (text: string) =>
    fragmentsOf(text)
      .fragments.map(({ text: each, begins, ends }) => `${begins ? '' : '*'}${each}${ends ? '' : '*'}`)
      .join(' ');
  it.each([
    ['declined', '*declined*'],
    ['Payment Declined', '*payment declined*'],
    [' card expired ', 'card expired'],
    ['a.b', '*a* *b*'],
    ['GET /cart', '*get cart*'],
    ['Grün', '*grün*'],
    ['straße', '*stra* *e*'],
    ['支払い', ''],
    ['...', ''],
    ['% _ a_b', 'a_b*'],
  ])('%s', (text, expected) => expect(drawn(text)).toBe(expected));
  it('one that is a word can be told by the index alone', () => {
    expect(fragmentsOf('declined').whole).toBe(true);
    expect(fragmentsOf('declined!').whole).toBe(false);
    expect(fragmentsOf('a b').whole).toBe(false);
  });
});
