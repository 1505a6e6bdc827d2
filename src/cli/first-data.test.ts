import { createServer } from 'node:http';
import { expect, it } from 'vitest';
import { announceFirstData } from './first-data.ts';
import type { Terminal } from './terminal.ts';

it('says each signal once, as it comes, and ends when all have come', async () => {
  const flow = (service: string, signal: string, count: number) => ({
    service,
    signal,
    stages: { received: { count } },
  });
  const answers = [
    [],
    [flow('checkout', 'traces', 0)],
    [flow('checkout', 'traces', 3), flow('cart', 'traces', 9)],
    [flow('checkout', 'traces', 5), flow('\u001b[2Jevil', 'metrics', 1), flow('', 'logs', 2)],
  ];
  const server = createServer((request, response) => {
    expect(request.url).toBe('/api/v1/pipeline/status');
    response.end(JSON.stringify({ flows: answers.shift() ?? [] }));
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const address = server.address();
  const said: string[] = [];
  const terminal = {
    say: (line: string) => said.push(line),
    paint: (_: unknown, text: string) => text,
  } as unknown as Terminal;
  const endpoint = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`;
  await announceFirstData(endpoint, terminal, new AbortController().signal);
  server.close();
  expect(said.map((line) => line.replace(/\d+ s$/, 'n s'))).toEqual([
    'waiting for the first data…',
    '✓ first span from checkout after n s',
    '✓ first data point from \\u001b[2Jevil after n s',
    '✓ first log record after n s',
  ]);
});
