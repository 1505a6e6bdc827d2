import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { runs } from '../../test/kit/runs.ts';
import { compileRegex } from './regex.ts';

// '+' matches, '-' does not.
it.each([
  ['abc', '+xabcx -ab'],
  ['^abc$', '+abc -xabc -abcx'],
  ['a.c', '+abc +a☃c -ac'],
  ['a|bc|', '+a +bc +zzz'],
  ['^(a|bc)+$', '+abca +bcbc -b'],
  ['^a{2,3}$', '+aa +aaa -a -aaaa'],
  ['^a{2}$', '+aa -a -aaa'],
  ['^a{2,}$', '+aa +aaaaa -a'],
  ['a{,2}', '+a{,2} -aa'],
  ['^a*?b+?$', '+b +aab -a'],
  ['^[a-c_-]+$', '+abc-_ -d'],
  ['^[^a-c]$', '+d -a'],
  ['^[]x]+$', '+]x -y'],
  ['^[\\d\\-.]+$', '+1-2. -a'],
  ['^[[:alpha:]]+$', '+aB -a1'],
  ['^[[:^alpha:]]+$', '+12 -a1'],
  ['^\\w+\\s\\S$', '+ab1_\u0020ü -ü\u0020a'],
  ['^\\D\\W$', '+a! -1!'],
  ['\\bfoo\\b', '+a,foo,b -afoo'],
  ['\\Bfoo', '+afoo -foo'],
  ['(?i)PayMent', '+payment +PAYMENT -paymnt'],
  ['(?i:a)b', '+Ab +ab -aB'],
  ['a(?i)b|c', '+aB +C -Ab'],
  ['(?i)straße', '+STRAße -strasse'],
  ['(?P<name>a)(?<other>b)(?:c)', '+abc -ab'],
  ['\\Qa.b*\\E+', '+a.b*+ +a.b*** -aXb'],
  ['\\x41\\x{1F600}\\t', '+A😀\t -a'],
  ['\\101\\060', '+A0 -a'],
  ['\\pN\\p{Greek}\\P{L}', '+1α1 -1αα'],
  ['\\p{^L}', '+1 -a'],
  ['\\A\\z', '+ -a'],
  ['^', '+ +a'],
  ['\\.example\\.com$', '+a.example.com -aXexampleXcom'],
  ['^(?:.?){20}$', '+aaaaaaaaaa -aaaaaaaaaaaaaaaaaaaaa'],
  ['(|a)*b', '+b +aab -aa'],
  ['5\\d\\d', '+503 -50'],
])('%s', (pattern, cases) => {
  const matches = compileRegex(pattern);
  for (const [sign, text] of cases.split(/ (?=[+-])/).map((each) => [each[0], each.slice(1)])) {
    expect([text, matches(text!)]).toEqual([text, sign === '+']);
  }
});

it('a line break is no character for a dot, and no line without (?m)', () => {
  expect(compileRegex('a.b')('a\nb')).toBe(false);
  expect(compileRegex('(?s)a.b')('a\nb')).toBe(true);
  expect(compileRegex('^b')('a\nb')).toBe(false);
  expect(compileRegex('(?m)^b$')('a\nb\nc')).toBe(true);
  expect(compileRegex('(?m-s:a.)')('a\n')).toBe(false);
});

it.each([
  '(',
  ')',
  'a)',
  '[',
  '[a',
  '[z-a]',
  '*a',
  'a**',
  'a{2000}',
  'a{3,2}',
  '\\',
  '\\k',
  '\\1',
  '(?<=a)',
  '(?=a)',
  '(?#a)',
  '\\p{Nonsense}',
  '[[:nonsense:]]',
  '\\x4',
  '((a{900}){900})',
  '(?P<a-b>x)',
])('refuses %s', (pattern) => {
  expect(() => compileRegex(pattern)).toThrow(/RE2/);
});

it('refuses what is nested too deep, without overflowing', () => {
  expect(() => compileRegex('('.repeat(50_000))).toThrow(/RE2/);
});

describe('agrees with JavaScript where both have the same syntax', () => {
  const atom = fc.oneof(
    fc.constantFrom('a', 'b', 'c', '.', '[ab]', '[^a]', '\\d', '\\w', '\\W', '^', '$', '\\b', '\\B', '1', ' '),
    fc.constantFrom('(?:a|b)', '(a|)', '((?:ab)*)'),
  );
  const piece = fc
    .tuple(atom, fc.constantFrom('', '', '*', '+', '?', '{2}', '{0,2}', '*?'))
    .map(([each, times]) => (/^[\^$]$|^\\[bB]$/.test(each) ? each : each + times));
  const pattern = fc.array(
    fc.array(piece, { maxLength: 5 }).map((all) => all.join('')),
    { minLength: 1, maxLength: 3 },
  );
  it('by random patterns and texts', () => {
    fc.assert(
      fc.property(pattern, fc.string({ unit: fc.constantFrom('a', 'b', 'c', '1', ' ', 'ü') }), (branches, text) => {
        const source = branches.join('|');
        expect([source, text, compileRegex(source)(text)]).toEqual([source, text, new RegExp(source, 'u').test(text)]);
      }),
      { numRuns: runs(3_000) },
    );
  });
});

it('takes steps in proportion to the text where JavaScript would take them in powers of it', () => {
  const text = `${'a'.repeat(5_000)}!`;
  expect(compileRegex('^(a+)+$')(text)).toBe(false);
  expect(compileRegex('^(a|aa)*$')(text)).toBe(false);
  expect(compileRegex('^(.*)*x$')(text)).toBe(false);
});
