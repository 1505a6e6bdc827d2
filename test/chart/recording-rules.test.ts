import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { parse } from 'yaml';
import { metricName } from '../../src/otlp/index.ts';
import { recordedMetrics } from '../kit/kubernetes.ts';
import { metricNames } from '../kit/metric-names.ts';
import { backendProgram, runProgram } from '../kit/program.ts';

// The chart's recording rules, told by recording-rules.yaml and held to by Prometheus' own program.

const file = fileURLToPath(new URL('recording-rules.yaml', import.meta.url));
const { tests } = parse(readFileSync(file, 'utf8')) as {
  tests: { input_series: { series: string }[]; promql_expr_test: { expr: string; exp_samples: unknown[] }[] }[];
};

it('promtool: each rule gives what is expected of it', async () => {
  await runProgram(backendProgram('promtool'), ['test', 'rules', file]);
});

it('something is expected of each name', () => {
  const expected = tests.flatMap(({ promql_expr_test }) =>
    promql_expr_test.filter(({ exp_samples }) => exp_samples.length > 0).map(({ expr }) => /^\w+/.exec(expr)?.[0]),
  );
  expect([...new Set(expected)].sort()).toEqual([...metricNames].sort());
});

it('what they are made from is what receivers send', () => {
  const sent = recordedMetrics()
    .flatMap(({ scopeMetrics }) => scopeMetrics.flatMap(({ metrics }) => metrics))
    .map(({ name, unit = '', sum }) => metricName(name, unit, sum?.isMonotonic ? 'monotonicSum' : 'gauge'));
  const alsoSent = [
    // In the recorded cluster nothing asked for this condition, and the file systems were a container's.
    metricName('k8s.node.condition_network_unavailable', '', 'gauge'),
    metricName('system.filesystem.usage', 'By', 'sum'),
    // The backend's own, and whoever else knows.
    'watchingcat_kubernetes_node_unschedulable',
    metricName('k8s.node.unschedulable', '', 'gauge'),
  ];
  const given = new Set(
    tests.flatMap(({ input_series }) => input_series.map(({ series }) => /^\w+/.exec(series)?.[0])),
  );
  expect([...sent, ...alsoSent]).toEqual(expect.arrayContaining([...given]));
});
