import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { escapeForCsv, escapeForTerminal, escapeJson } from './escape.ts';

describe('for a terminal', () => {
  it.each([
    ['plain ünïcode 猫 🐈', 'plain ünïcode 猫 🐈'],
    ['\u001b[31mred', '\\u001b[31mred'],
    ['two\nlines\r\tand a tab', 'two\\nlines\\r\\tand a tab'],
    ['\u009b2J', '\\u009b2J'],
    ['bell\u0007 del\u007f', 'bell\\u0007 del\\u007f'],
    ['right\u202eto left', 'right\\u202eto left'],
  ])('%j', (text, shown) => expect(escapeForTerminal(text)).toBe(shown));

  it('lets no control character through', () =>
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(escapeForTerminal(text)).not.toMatch(/\p{Cc}/u);
      }),
    ));
});

it('keeps the value of JSON that it escapes', () =>
  fc.assert(
    fc.property(fc.json(), (json) => {
      const pretty = JSON.stringify(JSON.parse(json), null, 2);
      expect(JSON.parse(escapeJson(pretty))).toEqual(JSON.parse(json));
      expect(escapeJson(pretty).replaceAll('\n', '')).not.toMatch(/\p{Cc}/u);
    }),
  ));

it.each([
  ['plain', 'plain'],
  ['-12.5e3', '-12.5e3'],
  ['+1', '+1'],
  ['=1+1', "'=1+1"],
  ['@SUM(A1)', "'@SUM(A1)"],
  ['-1+cmd', "'-1+cmd"],
  ['+A1', "'+A1"],
  ['\t=1', "'\t=1"],
  ['a,b', '"a,b"'],
  ['say "cat"', '"say ""cat"""'],
  ['two\nlines', '"two\nlines"'],
  ['=HYPERLINK("http://x","y")', '"\'=HYPERLINK(""http://x"",""y"")"'],
])('CSV field %j', (text, field) => expect(escapeForCsv(text)).toBe(field));
