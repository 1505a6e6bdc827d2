import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { readDurationMs } from '../../src/config/units.ts';
import { startHttpProxy } from '../kit/fault-proxy.ts';
import { runToEnd } from '../kit/program.ts';

// The chart's script that deletes Jaeger's old indices takes each retention that the backend takes, and for as long. Against a
// real Elasticsearch: test/backends/jaeger-retention.test.ts.

const script = fileURLToPath(new URL('../../k8s/helm/k8s-infra/files/delete-old-spans.mjs', import.meta.url));
const dayMs = 86_400_000;
const run = (url: string, retention: string) =>
  runToEnd(process.execPath, [script], { env: { ELASTICSEARCH_URL: url, INDEX_PREFIX: '', RETENTION: retention } });

it.each(['7d', '2w', '1d12h', '72h', '4320m', '1.5d', '259200s', '1w2d', '345600000ms', '7', '7 days', '7D', '0d', ''])(
  '%s',
  async (retention) => {
    await using proxy = await startHttpProxy('http://127.0.0.1:9');
    const now = Date.now();
    const days = Array.from({ length: 30 }, (_, ago) => new Date(now - ago * dayMs).toISOString().slice(0, 10));
    const body = JSON.stringify(days.map((day) => ({ index: `jaeger-span-${day}` })));
    proxy.decide(({ method }) => ({ kind: 'answer', status: 200, body: method === 'GET' ? body : '{}' }));
    const { code, stdout, stderr } = await run(proxy.url, retention);
    const keptMs = readDurationMs(retention);
    if (!keptMs) {
      expect(stderr).toContain(`RETENTION: expected a duration such as 7d, not ${retention}`);
      expect([code, proxy.requests]).toEqual([1, []]);
      return;
    }
    const told = (at: number): string => {
      const old = days.filter((day) => Date.parse(day) + dayMs < at - keptMs);
      return old
        .reverse()
        .map((day) => `deleted jaeger-span-${day}\n`)
        .join('');
    };
    expect([told(now), told(Date.now())]).toContain(stdout);
    expect([code, stderr]).toEqual([0, '']);
  },
);

it('an address that knows no indices is a failure, an index that is gone already is none', async () => {
  await using proxy = await startHttpProxy('http://127.0.0.1:9');
  const list = JSON.stringify([{ index: 'jaeger-span-2020-01-01' }, { index: 'jaeger-span-2020-01-02' }]);
  proxy.decide(({ method, path }) =>
    method === 'GET' || path.endsWith('-02')
      ? { kind: 'answer', status: 200, body: list }
      : { kind: 'answer', status: 404, body: '{"error": {"type": "index_not_found_exception"}}' },
  );
  expect(await run(proxy.url, '7d')).toMatchObject({ code: 0, stdout: 'deleted jaeger-span-2020-01-02\n' });
  proxy.decide(() => ({ kind: 'answer', status: 404, body: 'no such page' }));
  const { code, stderr } = await run(proxy.url, '7d');
  expect(stderr).toContain('HTTP 404 no such page');
  expect(code).toBe(1);
});
