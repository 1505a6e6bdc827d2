import { describe, expect, it, vi } from 'vitest';
import { Fault } from '../base/index.ts';
import { callsMax } from './limits.ts';
import { type Method, methodsOf, RpcClient, type RpcMessage, RpcServer, remoteObject } from './rpc.ts';

interface Shop {
  add(a: number, b: number, cancel: AbortSignal): Promise<number>;
  wait(cancel: AbortSignal): Promise<string>;
  fail(how: 'fault' | 'bug' | 'uncloneable', cancel: AbortSignal): Promise<unknown>;
  echo(value: unknown, cancel: AbortSignal): Promise<unknown>;
}
const names = ['add', 'wait', 'fail', 'echo'] as const;

/** Client and server, joined by what a channel between processes does to messages. */
function joined() {
  let aborted = 0;
  const shop: Shop = {
    add: async (a, b) => a + b,
    wait: (cancel) =>
      new Promise((_, reject) => {
        cancel.addEventListener('abort', () => {
          aborted++;
          reject(cancel.reason);
        });
      }),
    fail: async (how) => {
      if (how === 'fault') throw new Fault('malformed', 'no such label', { parameter: 'query', retryAfterMs: 5 });
      if (how === 'bug') throw new TypeError('secret');
      return () => {};
    },
    echo: async (value) => value,
  };
  const bugs: unknown[] = [];
  const closed = { yes: false };
  const pass = (to: (message: RpcMessage) => void) => (message: RpcMessage) => {
    if (closed.yes) throw new Error('channel closed');
    const clone = structuredClone(message);
    queueMicrotask(() => to(clone));
  };
  const client: RpcClient = new RpcClient(pass((message) => server.receive(message as never)));
  const server = new RpcServer(
    pass((message) => client.receive(message as never)),
    new Map<string, Method>(methodsOf('shop', shop, names)),
    (thrown) => bugs.push(thrown),
  );
  const remote = remoteObject<Shop>('shop', names, client.call.bind(client));
  return { client, server, remote, bugs, closed, aborted: () => aborted };
}
const never = new AbortController().signal;

describe('calls across a channel', () => {
  it('answers, several at once', async () => {
    const { remote } = joined();
    expect(await Promise.all([remote.add(1, 2, never), remote.add(3, 4, never)])).toEqual([3, 7]);
  });
  it.each([
    ['bigint', 2n ** 63n],
    ['bytes', new Uint8Array([1, 2, 3])],
    ['numbers', new Float64Array([0.1, Number.NaN])],
    ['nothing', undefined],
    ['nested', { items: [{ a: null }], next: undefined }],
  ])('%s cross as they are', async (_, value) => {
    expect(await joined().remote.echo(value, never)).toEqual(value);
  });
  it('a Fault arrives as a Fault with all that it says', async () => {
    const { remote, bugs } = joined();
    const fault = await remote.fail('fault', never).catch((thrown: unknown) => thrown);
    expect(fault).toBeInstanceOf(Fault);
    expect(fault).toMatchObject({ code: 'malformed', message: 'no such label', parameter: 'query', retryAfterMs: 5 });
    expect(bugs).toEqual([]);
  });
  it.each(['bug', 'uncloneable'] as const)('%s: the caller hears no more than that, the log hears all', async (how) => {
    const { remote, bugs } = joined();
    await expect(remote.fail(how, never)).rejects.toMatchObject({ code: 'internal', message: 'internal error' });
    expect(bugs).toHaveLength(1);
  });
  it('an unknown method is a Fault', async () => {
    await expect(joined().client.call('shop.steal', [])).rejects.toMatchObject({ code: 'notConfigured' });
  });
  it('cancelling ends the call here at once and there, too', async () => {
    const { remote, aborted } = joined();
    const cancel = new AbortController();
    const waiting = remote.wait(cancel.signal);
    await Promise.resolve();
    cancel.abort(new Error('client went away'));
    await expect(waiting).rejects.toThrow('client went away');
    await vi.waitFor(() => expect(aborted()).toBe(1));
  });
  it('what was cancelled before is not asked', async () => {
    await expect(joined().remote.wait(AbortSignal.abort(new Error('gone')))).rejects.toThrow('gone');
  });
  it('when the other side is gone, waiting and later calls end with a Fault', async () => {
    const { client, remote, closed } = joined();
    const waiting = remote.wait(never);
    closed.yes = true;
    client.failAll(new Fault('unavailable', 'restarting', { retryAfterMs: 1_250 }));
    await expect(waiting).rejects.toMatchObject({ code: 'unavailable', retryAfterMs: 1_250 });
    await expect(remote.add(1, 2, never)).rejects.toMatchObject({ code: 'unavailable', retryAfterMs: 1_000 });
  });
  it('a stopping server ends what it is doing', async () => {
    const { server, remote } = joined();
    const waiting = remote.wait(never);
    await new Promise((resolve) => setTimeout(resolve, 1));
    server.abortAll(new Fault('unavailable', 'stopping'));
    await expect(waiting).rejects.toMatchObject({ code: 'unavailable', message: 'stopping' });
  });
  it('has a bound', async () => {
    const { client, remote } = joined();
    const waiting = Array.from({ length: callsMax }, () => remote.wait(never));
    await expect(remote.add(1, 2, never)).rejects.toMatchObject({ code: 'unavailable' });
    client.failAll(new Fault('unavailable', 'over'));
    expect((await Promise.allSettled(waiting)).every((result) => result.status === 'rejected')).toBe(true);
    expect(await remote.add(1, 2, never)).toBe(3);
  });
});
