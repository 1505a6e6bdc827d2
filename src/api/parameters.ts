import { z } from 'zod';
import { decodeCursor, limitDefault, limitMax, parseRange, queryCharsMax } from '../query/index.ts';
import type { TimeRange } from '../stores/contract.ts';

// Parameters that several routes take. Text is checked where it is read (the query language, times, cursors), so that
// the error says what was expected; here stands what OpenAPI can say. Examples are part of the description: the page of
// the docs would fill them in, and a first try with every filter set finds nothing.

const timeText = 'RFC 3339, Unix s, ms, µs or ns (by magnitude), or relative (`now-15m`)';

export const range = {
  start: z
    .string()
    .optional()
    .meta({ description: `Start, inclusive: ${timeText}. One hour before the end when left out.` }),
  end: z
    .string()
    .optional()
    .meta({ description: `End, exclusive: ${timeText}. Now when left out.` }),
};

export const query = {
  query: z
    .string()
    .default('')
    .meta({
      description:
        `Words and "quoted text", \`key=value\`, \`!=\`, \`>\`, \`>=\`, \`<\`, \`<=\`, \`key:*\`, \`key~"regex"\`, \`key in (a, b)\`, ` +
        `AND OR NOT ( ), such as \`status=error AND http.response.status_code>=500\`. At most ${queryCharsMax} characters.`,
    }),
};

const aLimit = `expected a whole number from 1 to ${limitMax}, once`;

export const limit = {
  limit: z.coerce
    .number(aLimit)
    .int(aLimit)
    .min(1, aLimit)
    .max(limitMax, aLimit)
    .default(limitDefault)
    .meta({ description: 'Rows of one answer.' }),
};

export const cursor = {
  cursor: z.string().optional().meta({
    description:
      'The `nextCursor` of the answer before; the range of its first page stays, whatever `start` and `end` say.',
  }),
};

/** The range and the store's cursor of one page. */
export function pageOf(
  parameters: { start?: string | undefined; end?: string | undefined; cursor?: string | undefined },
  nowUnixNano: bigint,
): { range: TimeRange; cursor: string | undefined } {
  if (parameters.cursor === undefined) return { range: parseRange(parameters, nowUnixNano), cursor: undefined };
  const { range, next } = decodeCursor(parameters.cursor);
  return { range, cursor: next };
}
