import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runCommand, startProcess, temporaryFolder } from '../kit/process.ts';

// What stops the start does so with one sentence on stderr that says what to do.

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
beforeAll(async () => {
  folder = await temporaryFolder();
});
afterAll(() => folder[Symbol.asyncDispose]());

const anyPorts = ['--otlp-grpc-port', '0', '--otlp-http-port', '0', '--http-port', '0'];
/** Lines on stderr that are talk and no log. */
function sentences(stderr: string): string[] {
  return stderr.split('\n').filter((line) => line !== '' && !line.startsWith('{'));
}

it.each([
  ['a wrong option', ['--prot', '1'], "unknown option '--prot'"],
  ['a command that is none', ['strat'], "unknown command 'strat'"],
  ['a bad value', ['--http-port', 'x'], 'http.port (--http-port): expected a port from 0 to 65535'],
  ['a file that is not there', ['--config', 'none.yaml'], 'none.yaml: the configuration file does not exist'],
])('%s', async (_, args, sentence) => {
  const { code, stdout, stderr } = await runCommand(args, { cwd: folder.path });
  expect(code).toBe(2);
  expect(stderr).toContain(sentence);
  expect(stdout).toBe('');
});

it('an unknown variable', async () => {
  const { code, stderr } = await runCommand(['start'], { env: { WATCHINGCAT_DATADIR: 'x' }, cwd: folder.path });
  expect(code).toBe(2);
  expect(stderr).toContain('WATCHINGCAT_DATADIR: unknown variable; did you mean WATCHINGCAT_DATA_DIR?');
});

it.each([
  ['--otlp-grpc-port', 'WATCHINGCAT_OTLP_GRPC_PORT'],
  ['--otlp-http-port', 'WATCHINGCAT_OTLP_HTTP_PORT'],
  ['--http-port', 'WATCHINGCAT_HTTP_PORT'],
])('a port in use: %s', async (flag, variable) => {
  const server = createServer().listen(0, '127.0.0.1');
  try {
    await new Promise((resolve) => server.once('listening', resolve));
    const address = server.address();
    const port = typeof address === 'object' ? String(address?.port) : '';
    const args = ['start', ...anyPorts, flag, port, '--data-dir', join(folder.path, `taken${flag}`)];
    const { code, stderr } = await runCommand(args);
    expect(code).toBe(1);
    const [sentence = '', ...more] = sentences(stderr);
    expect(more).toEqual([]);
    for (const part of [`Port ${port}`, flag, variable]) expect(sentence).toContain(part);
    if (process.platform === 'linux') expect(sentence).toContain(`(pid ${process.pid})`);
  } finally {
    server.close();
  }
});

describe('a data folder', () => {
  it('that is a file', async () => {
    const path = join(folder.path, 'file');
    await writeFile(path, 'mine');
    const { code, stderr } = await runCommand(['start', ...anyPorts, '--data-dir', path]);
    expect(code).toBe(1);
    const [sentence = '', ...more] = sentences(stderr);
    expect(more).toEqual([]);
    expect(sentence).toContain(path);
  });

  // Nothing is unwritable for root, who runs tests in containers; /proc is for root, too.
  it.each(process.getuid?.() === 0 ? ['/proc/watchingcat'] : ['unwritable', '/proc/watchingcat'])(
    'that cannot be written: %s',
    async (name) => {
      const path = name.startsWith('/') ? name : join(folder.path, name);
      if (!name.startsWith('/')) {
        await mkdir(path);
        await chmod(path, 0o500);
      }
      const { code, stderr } = await runCommand(['start', ...anyPorts, '--data-dir', path]);
      expect(code).toBe(1);
      const [sentence = '', ...more] = sentences(stderr);
      expect(more).toEqual([]);
      expect(sentence).toContain(path);
    },
  );

  it('that another process uses', async () => {
    const path = join(folder.path, 'used');
    const first = await startProcess({ dataDir: path });
    try {
      const { code, stderr } = await runCommand(['start', ...anyPorts, '--data-dir', path]);
      expect(code).toBe(1);
      const [sentence = '', ...more] = sentences(stderr);
      expect(more).toEqual([]);
      expect(sentence).toContain(path);
      expect(sentence).toContain(String(first.pid));
      expect((await fetch(`${first.http}/health`)).ok).toBe(true);
    } finally {
      await first.stop('SIGKILL');
    }
  });
});

it('keeps a secret out of its log, its health and its own metrics', async () => {
  const canary = 'canary-5ecret';
  const running = await startProcess({
    dataDir: join(folder.path, 'secret'),
    env: {
      WATCHINGCAT_FORWARD_OTLP_ENDPOINT: 'http://127.0.0.1:1',
      WATCHINGCAT_FORWARD_OTLP_HEADERS: `authorization=${canary}`,
      WATCHINGCAT_LOG_LEVEL: 'trace',
    },
  });
  try {
    const outputs = [];
    for (const path of ['/health', '/metrics', '/api/v1/pipeline/status', '/api/v1/pipeline/drops']) {
      outputs.push(await (await fetch(running.http + path)).text());
    }
    expect([...outputs, running.output()].join('\n')).not.toContain(canary);
  } finally {
    await running.stop('SIGKILL');
  }
});
