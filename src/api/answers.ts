import { z } from 'zod';
import { encodeCursor } from '../query/index.ts';
import type { Page, Quantiles, TimeRange } from '../stores/contract.ts';

// Shapes that several answers share. 64-bit numbers are decimal strings.

export const nanos = z.string().describe('Nanoseconds, a decimal string');
export const unixNano = z.string().describe('Unix nanoseconds, a decimal string');
export const quantiles = z.object({ p50: nanos, p95: nanos, p99: nanos });

/** A response in JSON, as OpenAPI wants it. */
export function json<T extends z.ZodType>(description: string, schema: T) {
  return { description, content: { 'application/json': { schema } } };
}

/** What a list carries where a bounded scan stopped early; absent otherwise. */
export const bounded = {
  incomplete: z.literal(true).optional().describe('A bounded scan stopped early; `warnings` says which bound.'),
  warnings: z.array(z.string()).optional(),
};
export const nextCursor = z.string().nullable().describe('`cursor` of the next page; null at the end.');

export function boundedOf(page: { readonly incomplete: boolean; readonly warnings: readonly string[] }): {
  incomplete?: true;
  warnings?: string[];
} {
  return {
    ...(page.incomplete ? { incomplete: true as const } : {}),
    ...(page.warnings.length > 0 ? { warnings: [...page.warnings] } : {}),
  };
}

/** The end of a list with a cursor. */
export function pageEnd(page: Page<unknown>, range: TimeRange) {
  return { nextCursor: encodeCursor(page.next, range), ...boundedOf(page) };
}

export function quantilesOf({ p50, p95, p99 }: Quantiles): z.infer<typeof quantiles> {
  return { p50: String(p50), p95: String(p95), p99: String(p99) };
}
