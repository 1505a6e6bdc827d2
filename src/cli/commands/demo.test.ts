import { createServer } from 'node:http';
import { Command } from 'commander';
import { expect, it } from 'vitest';
import type { Terminal } from '../terminal.ts';
import { register } from './demo.ts';

it.each([
  [
    200,
    '{"erased":{"traces":1200,"metrics":3,"logs":0},"left":[{"destination":"jaeger","remove":"by its retention"}]}',
    'Removed what demos had sent: 1,200 spans, 3 data points, 0 log records.\nLeft alone in jaeger: by its retention',
  ],
  [501, '{"detail":"only the embedded store can remove records"}', '501: only the embedded store can remove records'],
  [404, '{"title":"Not found"}', 'cannot remove demo data: it goes with its retention, or with the data folder.'],
])('--clear where the instance answers %d', async (status, body, expected) => {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    response.writeHead(status).end(body);
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const address = server.address();
  const endpoint = `127.0.0.1:${typeof address === 'object' ? address?.port : ''}`;
  const said: string[] = [];
  const terminal = { env: {}, say: (line: string) => said.push(line) } as unknown as Terminal;
  const command = new Command('demo').exitOverride();
  register(command, { exitCode: 0, terminal: () => terminal });
  await command
    .parseAsync(['--clear', '--endpoint', endpoint], { from: 'user' })
    .catch((error: Error) => said.push(error.message));
  server.close();
  expect(asked).toEqual(['DELETE /api/v1/demo']);
  expect(said.join('\n')).toContain(expected);
});
