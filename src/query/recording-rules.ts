import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { yaml } from '../base/index.ts';
import { type Expression, metricNames, parsePromql } from '../promql/index.ts';

/** A name that is computed from others. */
export interface RecordingRule {
  readonly name: string;
  readonly labels: { readonly [name: string]: string };
  readonly expression: Expression;
  /** Names of the metrics that it is computed from. */
  readonly sources: readonly string[];
  readonly intervalMs: number;
}

const file = z.object({
  groups: z.array(
    z.object({
      interval: z.string().regex(/^[1-9]\d*s$/),
      rules: z.array(
        z.object({ record: z.string(), expr: z.string(), labels: z.record(z.string(), z.string()).default({}) }),
      ),
    }),
  ),
});

/** The rules that the product ships with, and the chart's Prometheus loads: k8s/helm/k8s-infra/files. */
export function shippedRules(): readonly RecordingRule[] {
  return readRules(
    readFileSync(new URL('../../k8s/helm/k8s-infra/files/recording-rules.yaml', import.meta.url), 'utf8'),
  );
}

/** @param text A rule file of Prometheus with recording rules only. */
function readRules(text: string): readonly RecordingRule[] {
  return file.parse(yaml().parse(text)).groups.flatMap(({ interval, rules }) =>
    rules.map(({ record, expr, labels }) => {
      const expression = parsePromql(expr);
      const sources = metricNames(expression);
      return { name: record, labels, expression, sources, intervalMs: Number(interval.slice(0, -1)) * 1000 };
    }),
  );
}
