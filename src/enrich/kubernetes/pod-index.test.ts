import fc from 'fast-check';
import { expect, it } from 'vitest';
import { runs } from '../../../test/kit/runs.ts';
import type { DecodedPod } from './decode.ts';
import { PodIndex } from './pod-index.ts';

const keepMs = 120;

/** What a pod of the model is now. */
interface Pod {
  readonly uid: string;
  readonly startTime: string;
  addresses: readonly string[];
  /** `gone`: deleted, or not in the last list. */
  state: 'alive' | 'finished' | 'gone';
  endMs: number;
  finishedMs: number | undefined;
}

type Action =
  | { readonly do: 'put'; readonly pod: number; readonly addresses: readonly string[]; readonly finished: boolean }
  | { readonly do: 'remove'; readonly pod: number }
  | { readonly do: 'list'; readonly pods: readonly number[] }
  | { readonly do: 'wait'; readonly ms: number };

const podCount = 5;
const pod = fc.nat(podCount - 1);
const addresses = fc.uniqueArray(fc.constantFrom('10.0.0.1', '10.0.0.2', 'fd00::1'), { maxLength: 2 });
const action: fc.Arbitrary<Action> = fc.oneof(
  fc.record({ do: fc.constant('put' as const), pod, addresses, finished: fc.boolean() }),
  fc.record({ do: fc.constant('remove' as const), pod }),
  fc.record({ do: fc.constant('list' as const), pods: fc.uniqueArray(pod) }),
  fc.record({ do: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 200 }) }),
);

it('answers as a plain list of pods would, whatever comes, goes and finishes in whichever order', () => {
  fc.assert(
    fc.property(fc.array(action, { maxLength: 40 }), (actions) => {
      let nowMs = 1_000;
      const index = new PodIndex(
        keepMs,
        () => undefined,
        () => undefined,
      );
      const model = new Map<string, Pod>();
      const put = (number: number, its: readonly string[], isFinished: boolean) => {
        const uid = `uid-${number}`;
        const known = model.get(uid);
        // A pod that has ended does not begin again, and one that was deleted does not come back.
        if (known?.state === 'gone') return;
        const finished = isFinished || known?.state === 'finished';
        index.put(decoded(uid, number, its, finished ? nowMs : undefined), nowMs, nowMs);
        const was = known ?? {
          uid,
          startTime: startTime(number),
          addresses: [],
          endMs: Infinity,
          finishedMs: undefined,
        };
        model.set(uid, {
          ...was,
          state: finished ? 'finished' : 'alive',
          finishedMs: finished ? (was.finishedMs ?? nowMs) : undefined,
          addresses: finished && its.length === 0 ? was.addresses : its,
        });
      };
      const remove = (uid: string) => {
        const known = model.get(uid);
        if (known === undefined || known.state === 'gone') return;
        known.state = 'gone';
        known.endMs = nowMs;
      };
      for (const each of actions) {
        switch (each.do) {
          case 'put':
            put(each.pod, each.addresses, each.finished);
            break;
          case 'remove':
            index.remove(`uid-${each.pod}`, nowMs);
            remove(`uid-${each.pod}`);
            break;
          case 'list': {
            index.beginListing();
            for (const number of each.pods) {
              const known = model.get(`uid-${number}`);
              put(number, known?.addresses ?? [], known?.state === 'finished');
            }
            index.endListing(nowMs);
            for (const { uid } of [...model.values()])
              if (!each.pods.some((number) => uid === `uid-${number}`)) remove(uid);
            break;
          }
          case 'wait':
            nowMs += each.ms;
            index.sweep(nowMs);
            break;
        }
        for (const known of [...model.values()]) {
          if (known.state === 'gone' && nowMs - known.endMs >= keepMs && each.do === 'wait') model.delete(known.uid);
          if (known.finishedMs !== undefined && nowMs - known.finishedMs >= keepMs) known.addresses = [];
        }
        agree(index, model);
      }
    }),
    { numRuns: runs(1_000) },
  );
});

function agree(index: PodIndex, model: ReadonlyMap<string, Pod>): void {
  const all = [...model.values()];
  expect(index.pods).toBe(all.filter(({ state }) => state !== 'gone').length);
  for (let number = 0; number < podCount; number++) {
    expect(index.byUid(`uid-${number}`)?.uid).toBe(model.get(`uid-${number}`)?.uid);
  }
  for (const address of ['10.0.0.1', '10.0.0.2', 'fd00::1']) {
    const claimants = all.filter((each) => each.addresses.includes(address));
    const alive = claimants.filter(({ state }) => state === 'alive');
    const best = (alive.length > 0 ? alive : claimants).map(({ uid }) => uid);
    const found = index.byAddress(address)?.uid;
    expect(found).toBe(best.sort().at(-1));
  }
}

const startTime = (number: number) => `2026-11-25T10:00:0${number}Z`;

it('finds a static pod by its UID and by the hash that its kubelet’s events have for one, as long as it is remembered', () => {
  const index = new PodIndex(
    keepMs,
    () => undefined,
    () => undefined,
  );
  const annotations = { 'kubernetes.io/config.hash': 'c0ffee' };
  const put = (uid: string, nowMs: number) =>
    index.put({ ...decoded(uid, 0, [], undefined), annotations }, nowMs, nowMs);
  put('first', 0);
  expect(index.byUid('first')?.uid).toBe('first');
  expect(index.byUid('c0ffee')?.uid).toBe('first');
  // The API server’s copy of it was deleted, and is made anew.
  index.remove('first', 10);
  expect(index.byUid('c0ffee')?.uid).toBe('first');
  put('second', 20);
  index.sweep(10 + keepMs);
  expect(index.byUid('first')).toBeUndefined();
  expect(index.byUid('c0ffee')?.uid).toBe('second');
  index.remove('second', 200);
  index.sweep(200 + keepMs);
  expect(index.byUid('c0ffee')).toBeUndefined();
});

function decoded(
  uid: string,
  number: number,
  addresses: readonly string[],
  finishedUnixMs: number | undefined,
): DecodedPod {
  return {
    uid,
    name: `pod-${number}`,
    namespace: 'shop',
    controller: undefined,
    nodeName: 'node-1',
    hostNetwork: false,
    podIp: addresses[0],
    startTime: startTime(number),
    containers: [],
    labels: {},
    annotations: {},
    addresses,
    podTemplateHash: undefined,
    finishedUnixMs,
  };
}
