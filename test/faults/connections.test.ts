import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { send } from '../kit/bad-input.ts';
import { endlessCall, halfHello } from '../kit/floods.ts';
import { eventually } from '../kit/process.ts';
import { runProgram } from '../kit/program.ts';
import { exportPath, GrpcPeer, post, rawGrpc } from '../kit/receivers.ts';
import { memoryMebibytes } from '../kit/usage.ts';
import { answered, startWorld } from './world.ts';

// Connections by the thousand, none of which means well. Those who do are answered in between, and afterwards all is as before.

const protobuf = 'application/x-protobuf';

/** Opens a connection; `sent` is written at once. What was told, once the other side has closed it. */
function open(port: number, sent: string | Uint8Array): { socket: Socket; told: Promise<Buffer> } {
  const parts: Buffer[] = [];
  const socket = connect(port, '127.0.0.1');
  if (sent.length > 0) socket.write(sent);
  const told = new Promise<Buffer>((resolve) => {
    socket
      .on('data', (part) => parts.push(part))
      .on('error', () => undefined)
      .on('close', () => resolve(Buffer.concat(parts)));
  });
  return { socket, told };
}

/** A few kB each, of 60 MiB and more. */
const bombs = [
  { protocol: 'http/protobuf', encoding: 'gzip', body: gzipSync(Buffer.alloc(63 * 2 ** 20)) },
  { protocol: 'grpc', encoding: 'zstd', body: zstdCompressSync(Buffer.alloc(200 * 2 ** 20)) },
  { protocol: 'grpc', encoding: 'gzip', body: gzipSync(Buffer.alloc(60 * 2 ** 20, Buffer.of(0x0a, 0x02, 0x12, 0))) },
  {
    protocol: 'http/json',
    encoding: 'zstd',
    body: zstdCompressSync(Buffer.concat([Buffer.from('{"resourceSpans":['), Buffer.alloc(60 * 2 ** 20, '{},')])),
  },
] as const;

describe('B23 5,000 slow connections', () => {
  it('each is told that it was too slow, and good requests are answered all the time', async () => {
    await using world = await startWorld();
    const head = `POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: ${protobuf}\r\nContent-Length: 1000\r\n\r\n`;
    const slow = Array.from({ length: 1250 }, () => ({
      headers: open(world.httpPort, 'POST /v1/traces HTTP/1.1\r\nHost: '),
      body: open(world.httpPort, head),
      silent: open(world.grpcPort, ''),
      call: open(world.grpcPort, endlessCall),
    }));
    // A byte a second, for as long as it is taken.
    const drip = setInterval(() => {
      for (const { headers, body } of slow) {
        if (headers.socket.writable) headers.socket.write('x');
        if (body.socket.writable) body.socket.write('x');
      }
    }, 1000);
    try {
      const answers = new Set<string>();
      let over = false;
      const told = Promise.all(
        slow.map(async (each) => ({
          headers: (await each.headers.told).toString('latin1').split('\r\n', 1)[0],
          body: (await each.body.told).toString('latin1').split('\r\n', 1)[0],
          silent: (await each.silent.told).length > 0,
          call: (await each.call.told).includes('the request did not end in time'),
        })),
      ).finally(() => {
        over = true;
      });
      await eventually(
        () => world.metric('watchingcat_receiver_connections{listener="http"}'),
        (open) => open >= 2500,
      );
      while (!over) {
        answers.add(await world.wellMeant());
        await sleep(200);
      }
      const counted = Object.entries(Object.groupBy(await told, (each) => JSON.stringify(each)));
      expect(counted.map(([text, all]) => [JSON.parse(text), all?.length])).toEqual([
        [
          {
            headers: 'HTTP/1.1 408 Request Timeout',
            body: 'HTTP/1.1 408 Request Timeout',
            silent: expect.any(Boolean),
            call: true,
          },
          1250,
        ],
      ]);
      expect([...answers]).toEqual([answered]);
    } finally {
      clearInterval(drip);
    }
    expect(await world.metric('watchingcat_receiver_held_bytes')).toBe(0);
    expect(await world.lost()).toEqual([]);
  });
});

describe('B24 more connections than there may be', () => {
  it('10,000 idle ones: those beyond the bound are closed at once and counted, those within it are served', async () => {
    await using world = await startWorld();
    const first = connect(world.httpPort, '127.0.0.1');
    await once(first, 'connect');
    const serve = async () => {
      first.write(post('/v1/traces', protobuf, Buffer.alloc(0)));
      expect(String((await once(first, 'data'))[0])).toContain('HTTP/1.1 200 OK');
    };
    await serve();
    // 8,192 may be open, the first among them. An idle one is told after a while that it was too slow, and its place is free
    // again, possibly before the last one came: so the count is held against what each of them was told.
    const idle = Array.from({ length: 10_000 }, () => open(world.httpPort, ''));
    const inUse = () => world.metric('watchingcat_receiver_connections{listener="http"}');
    const refused = () => world.metric('watchingcat_receiver_connections_refused_total{listener="http"}');
    await eventually(
      async () => {
        const count = await refused();
        // On a busy machine the last ones come when the first have gone already.
        if (count === 0 && idle.length < 18_000) {
          await sleep(1_000);
          for (let more = 0; more < 1_000; more++) idle.push(open(world.httpPort, ''));
        }
        return count;
      },
      (count) => count > 0,
      60_000,
    );
    expect(await inUse()).toBeLessThanOrEqual(8192);
    // One that is open is served, and the other door is not concerned.
    await serve();
    expect((await rawGrpc(world.grpcPort, [Buffer.alloc(5)])).grpcStatus).toBe(0);
    // They have nothing to say, and their places become free.
    // Where many come at once, the kernel lets go of some that it has answered, and as they say nothing they never hear of it:
    // those are open here when the process has none left.
    const told: Buffer[] = [];
    for (const each of idle) void each.told.then((words) => told.push(words));
    await eventually(inUse, (count) => count <= 1, 300_000);
    await sleep(2_000);
    expect(await refused()).toBe(told.filter((each) => each.length === 0).length);
    expect(told.length).toBeGreaterThan(8192);
    const words = new Set(told.map((each) => each.toString('latin1').split('\r\n', 1)[0]));
    expect([...words].sort()).toEqual(['', 'HTTP/1.1 408 Request Timeout']);
    for (const { socket } of idle) socket.destroy();
    first.destroy();
    expect(await world.wellMeant()).toBe(answered);
    expect(await world.lost()).toEqual([]);
  });

  it('more than there are file descriptors: the process goes on, and what it acknowledged is kept', async () => {
    await using world = await startWorld();
    expect(await world.wellMeant()).toBe(answered);
    using peer = new GrpcPeer(world.grpcPort);
    expect((await peer.call(exportPath.traces, Buffer.alloc(0))).code).toBe(0);
    await runProgram('prlimit', ['--pid', String(world.running.pid), '--nofile=200:20000']);
    const many = Array.from({ length: 1000 }, () => open(world.httpPort, ''));
    await sleep(2000);
    // The connection that was there before is served; what cannot be stored for now is told so.
    const code = (await peer.call(exportPath.traces, Buffer.alloc(0), { deadline: Date.now() + 20_000 })).code;
    expect([0, 14]).toContain(code);
    for (const { socket } of many) socket.destroy();
    await eventually(world.wellMeant, (answer) => answer === answered, 60_000);
    expect(await world.lost()).toEqual([]);
  });
});

describe('B28 a thousand connections a second that speak something else', () => {
  it('each is closed and counted, good requests are answered in between, and all is well', async () => {
    await using world = await startWorld();
    const strangers = [halfHello, Buffer.alloc(10_000, 0xa5), Buffer.from('SSH-2.0-OpenSSH_9.9\r\n')];
    const doors = [world.grpcPort, world.httpPort];
    for (let second = 0; second < 5; second++) {
      const round = Array.from({ length: 1000 }, (_, i) =>
        open(doors[i % 2] as number, strangers[i % strangers.length] as Buffer),
      );
      expect(await world.wellMeant()).toBe(answered);
      expect(await (await fetch(`${world.running.http}/health`)).json()).toMatchObject({ status: 'ok' });
      await Promise.all(round.map(({ told }) => told));
    }
    for (const listener of ['grpc', 'http']) {
      const failed = `watchingcat_receiver_connections_failed_total{listener="${listener}"}`;
      expect(await world.metric(failed)).toBeGreaterThanOrEqual(2500);
      await eventually(
        () => world.metric(`watchingcat_receiver_connections{listener="${listener}"}`),
        (open) => open === 0,
      );
    }
    expect(await world.metric('watchingcat_receiver_held_bytes')).toBe(0);
    expect(await world.lost()).toEqual([]);
    expect(world.running.output()).not.toMatch(/"level":"(error|fatal)"/);
  });
});

describe('B25 floods', () => {
  it('large bodies, compressed a thousandfold: refused or taken, and memory comes back', async () => {
    await using world = await startWorld();
    for (let i = 0; i < 20; i++) expect(await world.wellMeant()).toBe(answered);
    const before = memoryMebibytes(world.running.pid).now;
    for (let round = 0; round < 3; round++) {
      const answers = await Promise.all(
        bombs.map(({ protocol, encoding, body }) => send(world.running, protocol, 'traces', body, encoding)),
      );
      // Malformed, too large, or no room for it beside the others.
      for (const { code } of answers) expect([3, 8, 14]).toContain(code);
      expect(await world.wellMeant()).toBe(answered);
    }
    await eventually(
      async () => memoryMebibytes(world.running.pid).now - before,
      (grown) => grown < 400,
      90_000,
    );
    expect(await world.lost()).toEqual([]);
  });
});
