import { expect, it } from 'vitest';
import type { DeliveryStats } from '../deliver/index.ts';
import type { Readers } from '../stores/contract.ts';
import { awaitingBacklog } from './catch-up.ts';

const range = { startUnixNano: 0n, endUnixNano: 1n };
const page = { items: [1], next: undefined, incomplete: false, warnings: ['of its own'] };
const readers = {
  traces: { trace: async () => undefined, services: async () => ['cart'], search: async () => page },
  logs: { search: async () => page },
} as unknown as Readers;
const never = new AbortController().signal;
const search = { range, filter: { kind: 'all' }, order: 'asc', limit: 1, cursor: undefined } as const;

it('lets a question wait for the records of its signal, and no other', async () => {
  let settledSeq = 0;
  const stats = () => ({ traces: { settledSeq } }) as unknown as DeliveryStats;
  const awaited = awaitingBacklog(readers, stats, { traces: 5 });
  expect(await awaited.logs!.search(search, never)).toEqual(page);
  let answered = false;
  const services = awaited.traces!.services(range, never).then((answer) => {
    answered = true;
    return answer;
  });
  await new Promise((resolve) => setTimeout(resolve, 60));
  expect(answered).toBe(false);
  settledSeq = 5;
  expect(await services).toEqual(['cart']);
  expect(await awaited.traces!.trace('00', never)).toBeUndefined();
  await expect(
    awaitingBacklog(readers, () => undefined, { logs: 1 }).logs!.search(search, AbortSignal.abort(new Error('left'))),
  ).rejects.toThrow('left');
});

it('says that records are missing where they take too long', async () => {
  const awaited = awaitingBacklog(readers, () => undefined, { traces: 5, logs: 1 });
  const [lines, services, trace] = await Promise.allSettled([
    awaited.logs!.search(search, never),
    awaited.traces!.services(range, never),
    awaited.traces!.trace('00', never),
  ]);
  const warnings = ['of its own', 'the store still reads what was received before its start'];
  expect(lines).toMatchObject({ value: { items: [1], incomplete: true, warnings } });
  expect(services).toMatchObject({ value: ['cart'] });
  expect(trace).toMatchObject({ status: 'rejected', reason: { code: 'unavailable' } });
});
