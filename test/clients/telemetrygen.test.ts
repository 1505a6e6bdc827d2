import { describe, expect, it } from 'vitest';
import { eventually, getJson } from '../kit/process.ts';
import { backendProgram, runProgram } from '../kit/program.ts';
import { sharedProcess } from '../kit/shared-process.ts';
import { instant } from './sent.ts';

// The Collector project's own generator. It names no ids, so that what arrived is counted.

const running = sharedProcess();

describe.each(['grpc', 'http'])('telemetrygen over %s', (protocol) => {
  const to = (signal: string): string[] => [
    '--otlp-insecure',
    ...(protocol === 'grpc'
      ? ['--otlp-endpoint', running.otlpGrpc]
      : ['--otlp-http', '--otlp-endpoint', new URL(running.otlpHttp).host, '--otlp-http-url-path', `/v1/${signal}`]),
    ...['--service', `telemetrygen-${protocol}`, '--telemetry-attributes', 'client.text="hello"'],
  ];

  it('traces: each is there with its spans and attributes', async () => {
    const args = ['traces', ...to('traces'), '--traces', '50', '--child-spans', '3', '--rate', '0'];
    await runProgram(backendProgram('telemetrygen'), args);
    const found = await eventually(
      async () => {
        const query = { service: `telemetrygen-${protocol}`, query: 'span.client.text=hello', limit: '200' };
        return (await getJson(running.http, '/api/v1/traces', query)) as { traces: { spanCount: number }[] };
      },
      ({ traces }) => traces.length >= 50 && traces.every(({ spanCount }) => spanCount >= 4),
    );
    expect(found.traces.map(({ spanCount }) => spanCount)).toEqual(Array(50).fill(4));
  });

  it('logs: each is there, with its attributes', async () => {
    await runProgram(backendProgram('telemetrygen'), ['logs', ...to('logs'), '--logs', '300', '--rate', '0']);
    const query = { query: `service="telemetrygen-${protocol}" AND client.text=hello`, limit: '1000' };
    const found = await eventually(
      async () => (await getJson(running.http, '/api/v1/logs', query)) as { logs: { id: string }[] },
      ({ logs }) => logs.length >= 300,
    );
    expect(new Set(found.logs.map(({ id }) => id)).size).toBe(300);
    expect(found.logs).toHaveLength(300);
  });

  it.each(['Gauge', 'Sum', 'Histogram', 'ExponentialHistogram'])('metrics: %s', async (type) => {
    const name = `tg_${type.toLowerCase()}`;
    await runProgram(backendProgram('telemetrygen'), [
      ...['metrics', ...to('metrics'), '--metrics', '10', '--rate', '100', '--metric-type', type],
      ...['--aggregation-temporality', 'cumulative', '--otlp-metric-name', name],
    ]);
    const sample = type === 'Sum' ? `${name}_total` : type.endsWith('Histogram') ? `${name}_count` : name;
    const values = await eventually(
      () => instant(running.http, `${sample}{job="telemetrygen-${protocol}",client_text="hello"}`),
      (found) => found.length > 0,
    );
    expect(values).toHaveLength(1);
  });
});
