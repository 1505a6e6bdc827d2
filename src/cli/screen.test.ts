import { execFileSync } from 'node:child_process';
import { expect, it } from 'vitest';
import { loadConfig } from '../config/index.ts';
import { firstSpanLine, startScreen } from './screen.ts';

const addresses = { otlpGrpc: '127.0.0.1:14317', otlpHttp: '127.0.0.1:14318', http: '127.0.0.1:18090' };
const ids = { traceId: '5b8efff798038103d269b633813fc60c', spanId: 'eee19b7ec3c1b174' };

it.each([
  ['the defaults', {}],
  ['a relay', { WATCHINGCAT_EMBEDDED: 'off', WATCHINGCAT_FORWARD_OTLP_ENDPOINT: 'http://collector' }],
])('says all that matters in 12 lines, with %s', (_, env) => {
  const config = loadConfig({ env, flags: {}, cwd: '/srv' });
  const lines = startScreen({ version: '1.2.3', addresses, config, ids }, (__, text) => text);
  // One more line follows: "waiting for the first data…".
  expect(lines.length).toBeLessThanOrEqual(11);
  const text = lines.join('\n');
  for (const part of [
    '1.2.3',
    'http://127.0.0.1:18090',
    '127.0.0.1:14317',
    'http://127.0.0.1:14318',
    '/srv/data',
    '4 GiB',
    'curl',
  ]) {
    expect(text).toContain(part);
  }
});

it('has a line to paste that a shell understands', () => {
  const line = firstSpanLine(addresses, ids).replace('curl', `printf '%s\\n'`);
  const words = execFileSync('sh', ['-c', line], { encoding: 'utf8' }).split('\n');
  expect(words).toContain('http://127.0.0.1:14318/v1/traces');
  const body = JSON.parse(words[words.indexOf('-d') + 1] ?? '');
  const span = body.resourceSpans[0].scopeSpans[0].spans[0];
  expect(span).toMatchObject(ids);
  expect(Math.abs(Number(BigInt(span.startTimeUnixNano) / 1_000_000n) - Date.now())).toBeLessThan(60_000);
});
