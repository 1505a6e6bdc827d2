import { expect, it } from 'vitest';
import { Asking } from './asking.ts';
import type { Given, Peer } from './client.ts';
import type { Handed } from './protocol.ts';

const handed: Handed = {
  signal: 'logs',
  tenant: '',
  digest: new Uint8Array(16),
  receivedUnixNano: 1n,
  records: 1,
  rejected: 0,
  message: '',
  outstanding: ['a', 'b'],
  body: new Uint8Array(1),
};

/** Peers that answer by a script, a letter a call, the last one for ever. What was asked of whom, in order, is `asked`. */
function scripted(scripts: Readonly<Record<string, string>>) {
  const asked: string[] = [];
  const answers: Record<string, (names: readonly string[]) => Given> = {
    t: () => ({ kind: 'taken', repeat: false, without: [] }),
    // Delivers to a alone, and to neither.
    a: (names) => ({ kind: 'taken', repeat: false, without: names.filter((name) => name !== 'a') }),
    n: (names) => ({ kind: 'never', reason: 'not here', without: names }),
    l: () => ({ kind: 'later', reason: 'it is full' }),
    s: () => ({ kind: 'stranger', reason: 'another token' }),
    i: () => ({ kind: 'self' }),
  };
  const peers = Object.entries(scripts).map(([name, script]): Peer => {
    let call = 0;
    return {
      name,
      async give({ outstanding }) {
        asked.push(`${name}:${outstanding.join('')}`);
        const letter = script[Math.min(call++, script.length - 1)]!;
        const answer = answers[letter];
        if (answer === undefined) throw new Error('socket hang up');
        return answer(outstanding);
      },
      ask: () => Promise.reject(new Error('nobody asks')),
    };
  });
  const world = {
    asked,
    finds: 0,
    unresolved: [] as { name: string; reason: string }[],
    peers: {
      find: async () => {
        world.finds++;
        return { peers, unresolved: world.unresolved };
      },
      [Symbol.dispose]: () => undefined,
    },
  };
  return world;
}

// A letter an answer, as above; x: none.
it.each([
  { name: 'the first takes it', scripts: { p: 't', q: 't' }, asked: 'p:ab', left: '' },
  {
    name: 'the first one does not answer, and is asked again first',
    scripts: { p: 'xt', q: 't' },
    asked: 'p:ab p:ab',
    left: '',
  },
  { name: 'nor then', scripts: { p: 'x', q: 't' }, asked: 'p:ab p:ab q:ab', left: '' },
  { name: 'it is this process', scripts: { p: 'i', q: 't' }, asked: 'p:ab q:ab', left: '' },
  { name: 'the first is full', scripts: { p: 'l', q: 't' }, asked: 'p:ab q:ab', left: '' },
  { name: 'all are full for now', scripts: { p: 'lt', q: 'l' }, asked: 'p:ab q:ab p:ab', left: '' },
  { name: 'the first is a stranger', scripts: { p: 's', q: 'lt' }, asked: 'p:ab q:ab q:ab', left: '' },
  { name: 'a part each', scripts: { p: 'a', q: 't' }, asked: 'p:ab q:b', left: '' },
  { name: 'a part alone, ever', scripts: { p: 'a', q: 'n' }, asked: 'p:ab q:b', left: 'b' },
  {
    name: 'a part, and who delivers the rest is full for now',
    scripts: { p: 'a', q: 'lt' },
    asked: 'p:ab q:b p:b q:b',
    left: '',
  },
  { name: 'nobody ever', scripts: { p: 'n', q: 'n' }, asked: 'p:ab q:ab', left: 'ab' },
  { name: 'strangers alone', scripts: { p: 's' }, asked: 'p:ab', left: 'ab' },
])('$name', async ({ scripts, asked, left }) => {
  const world = scripted(scripts as Record<string, string>);
  const asking = new Asking(world.peers, AbortSignal.timeout(10_000));
  expect((await asking.give(handed)).join('')).toBe(left);
  expect(world.asked.join(' ')).toBe(asked);
});

it('who took the last one is asked first, who did not answer is asked last', async () => {
  const world = scripted({ p: 'xxt', q: 'l', r: 't' });
  const asking = new Asking(world.peers, AbortSignal.timeout(10_000));
  await asking.give(handed);
  expect(world.asked.splice(0)).toEqual(['p:ab', 'p:ab', 'q:ab', 'r:ab']);
  await asking.give(handed);
  expect(world.asked).toEqual(['r:ab']);
});

it('asks nobody any more for a destination that nobody has, and for the others as before', async () => {
  const world = scripted({ p: 'a', q: 'n' });
  const asking = new Asking(world.peers, AbortSignal.timeout(10_000));
  expect(await asking.give(handed)).toEqual(['b']);
  world.asked.length = 0;
  expect(await asking.give(handed)).toEqual(['b']);
  expect(world.asked).toEqual(['p:a']);
  expect(await asking.give({ ...handed, outstanding: ['b'] })).toEqual(['b']);
  expect(world.asked).toHaveLength(1);
});

it.each([
  { name: 'a stranger', scripts: { p: 's' } },
  { name: 'strangers and this process', scripts: { p: 's', q: 'i', r: 's' } },
])('$name and nobody else: that is known as soon as they have answered', async ({ scripts }) => {
  const world = scripted(scripts as Record<string, string>);
  const asking = new Asking(world.peers, AbortSignal.timeout(10_000));
  expect(await asking.give(handed)).toEqual(['a', 'b']);
  expect({ over: asking.over, finds: world.finds }).toEqual({ over: true, finds: 1 });
});

it('while a name cannot be resolved, nobody knows that there is nobody who takes it', async () => {
  const world = scripted({ p: 'nt' });
  world.unresolved.push({ name: 'peers:8091', reason: 'getaddrinfo EAI_AGAIN' });
  const asking = new Asking(world.peers, AbortSignal.timeout(10_000));
  expect(await asking.give(handed)).toEqual([]);
  expect(world.asked).toEqual(['p:ab', 'p:ab']);

  const nobody = scripted({});
  nobody.unresolved.push({ name: 'peers:8091', reason: 'getaddrinfo EAI_AGAIN' });
  const alone = new Asking(nobody.peers, AbortSignal.timeout(100));
  expect(await alone.give(handed)).toEqual(['a', 'b']);
  expect(alone.reason).toBe('peers:8091: getaddrinfo EAI_AGAIN');
});

it('a resolver that hangs does not hold the stop', async () => {
  const hanging = { find: () => new Promise<never>(() => undefined), [Symbol.dispose]: () => undefined };
  const asking = new Asking(hanging, AbortSignal.timeout(100));
  expect(await asking.give(handed)).toEqual(['a', 'b']);
  expect(asking.over).toBe(true);
});
