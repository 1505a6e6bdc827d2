import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Elasticsearch, startElasticsearch } from '../kit/backends.ts';
import { startHttpProxy } from '../kit/fault-proxy.ts';
import { runProgram } from '../kit/program.ts';

// The chart's script that deletes Jaeger's old indices, against a real Elasticsearch.

const script = fileURLToPath(new URL('../../k8s/helm/k8s-infra/files/delete-old-spans.mjs', import.meta.url));
let elasticsearch: Elasticsearch;
beforeAll(async () => {
  elasticsearch = await startElasticsearch();
}, 180_000);
afterAll(() => elasticsearch?.[Symbol.asyncDispose]());

const day = (ago: number): string => new Date(Date.now() - ago * 86_400_000).toISOString().slice(0, 10);
const clean = (retention: string, url = elasticsearch.url) =>
  runProgram(process.execPath, [script], {
    env: { ELASTICSEARCH_URL: url, INDEX_PREFIX: 'watchingcat', RETENTION: retention },
  });

describe('indices of spans', () => {
  it('go when their last moment is older than the retention; nothing else does', async () => {
    const old = [
      `watchingcat-jaeger-service-${day(9)}`,
      `watchingcat-jaeger-span-${day(400)}`,
      `watchingcat-jaeger-span-${day(9)}`,
    ];
    const kept = [
      `watchingcat-jaeger-span-${day(0)}`,
      `watchingcat-jaeger-span-${day(7)}`,
      `watchingcat-jaeger-mine-${day(9)}`,
      'watchingcat-jaeger-span-archive',
      `other-jaeger-span-${day(9)}`,
      `watchingcat-logs-${day(9).replaceAll('-', '.')}`,
    ];
    for (const index of [...old, ...kept]) {
      expect((await fetch(`${elasticsearch.url}/${index}`, { method: 'PUT' })).status, index).toBe(200);
    }
    const { stdout } = await clean('7d');
    expect(stdout.trim().split('\n')).toEqual(old.toSorted().map((index) => `deleted ${index}`));
    const left = (await (
      await fetch(`${elasticsearch.url}/_cat/indices/*jaeger*,watchingcat-*?format=json&h=index`)
    ).json()) as {
      index: string;
    }[];
    expect(left.map(({ index }) => index).toSorted()).toEqual(kept.toSorted());
    expect((await clean('7d')).stdout).toBe('');
  });
  it('that somebody else has deleted meanwhile are done, and the others go', async () => {
    await using proxy = await startHttpProxy(elasticsearch.url);
    const [gone, old] = [`watchingcat-jaeger-span-${day(30)}`, `watchingcat-jaeger-span-${day(20)}`];
    await fetch(`${elasticsearch.url}/${old}`, { method: 'PUT' });
    const withGone = (body: Buffer) => JSON.stringify([{ index: gone }, ...(JSON.parse(body.toString()) as unknown[])]);
    proxy.spoil(1, { kind: 'rewrite', body: withGone }, ({ method }) => method === 'GET');
    expect((await clean('7d', proxy.url)).stdout).toBe(`deleted ${old}\n`);
    expect(proxy.requests.map(({ method }) => method)).toEqual(['GET', 'DELETE', 'DELETE']);
  });
  it('stay where the retention cannot be read, or Elasticsearch refuses', async () => {
    await expect(clean('a week')).rejects.toThrow('RETENTION: expected a duration such as 7d, not a week');
    await elasticsearch.stop();
    await expect(clean('7d')).rejects.toThrow('fetch failed');
  });
});
