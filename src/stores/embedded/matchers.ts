import type { LabelMatcher } from '../contract.ts';
import type { Params } from './database.ts';
import { identityLabels } from './labels.ts';
import { member } from './sql.ts';

// PromQL's matchers over the dictionary of series.

/** A matcher as a condition on text, which may be NULL for an absent label. */
export function matches(matcher: LabelMatcher, text: string, params: Params): string {
  const value = params.text(matcher.value);
  switch (matcher.op) {
    case '=':
      return `coalesce(${text}, '') = ${value}`;
    case '!=':
      return `coalesce(${text}, '') <> ${value}`;
    case '=~':
      return `regexp_full_match(coalesce(${text}, ''), ${value}, 's')`;
    case '!~':
      return `NOT regexp_full_match(coalesce(${text}, ''), ${value}, 's')`;
  }
}

/** A series' label as text; NULL where it has none. See `seriesLabels`. */
export function labelOf(name: string, params: Params): string {
  const [point, resource] = ['labels', 'resource_labels'].map(
    (column) => `json_extract_string(${member(column, name, params)}, '$')`,
  );
  return identityLabels.has(name) ? `coalesce(${resource}, ${point})` : `coalesce(${point}, ${resource})`;
}

export function nanos(ms: number): bigint {
  return BigInt(Math.max(0, Math.trunc(ms))) * 1_000_000n;
}

/** AggregationTemporality.DELTA of OTLP metrics.proto. */
export const deltaTemporality = 1;
