import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { startElasticsearch, startJaeger, startPrometheus } from '../kit/backends.ts';
import { answers } from '../kit/program.ts';

// What the other tests of this tier stand on: the programs start with fresh data, keep it over a restart, stand still and go on.

it('Jaeger starts, stops and starts again', async () => {
  await using jaeger = await startJaeger();
  expect(await answers(`${jaeger.queryUrl}/api/v3/services`)).toBe(true);
  const before = jaeger.pid;
  await jaeger.stop();
  await expect(answers(`${jaeger.queryUrl}/api/v3/services`)).rejects.toThrow();
  await jaeger.start();
  expect(await answers(`${jaeger.queryUrl}/api/v3/services`)).toBe(true);
  expect(jaeger.pid).not.toBe(before);
});

it('Prometheus stands still on SIGSTOP and goes on', async () => {
  await using prometheus = await startPrometheus();
  expect(await answers(`${prometheus.url}/-/ready`)).toBe(true);
  prometheus.signal('SIGSTOP');
  await expect(answers(`${prometheus.url}/-/ready`)).rejects.toThrow();
  prometheus.signal('SIGCONT');
  await sleep(100);
  expect(await answers(`${prometheus.url}/-/ready`)).toBe(true);
});

it('Elasticsearch keeps its data over a crash', async () => {
  await using elasticsearch = await startElasticsearch();
  const document = `${elasticsearch.url}/kit/_doc/1`;
  const headers = { 'content-type': 'application/json' };
  expect((await fetch(document, { method: 'PUT', headers, body: '{"a":1}' })).status).toBe(201);
  elasticsearch.signal('SIGKILL');
  await sleep(500);
  await elasticsearch.start();
  expect(await (await fetch(document)).json()).toMatchObject({ found: true, _source: { a: 1 } });
});
