import { describe, expect, it } from 'vitest';
import { type ContainerState, type PodEvents, phaseOf, podStatus } from './status.ts';

const running: ContainerState = { name: 'app', ready: true, reason: undefined };
const stopped = (reason: string | undefined, ready: boolean | undefined = false): ContainerState => ({
  name: 'app',
  ready,
  reason,
});
const said = (reason: string, message = '', fieldPath = 'spec.containers{app}'): PodEvents => [
  { reason, message, fieldPath },
];

// Each row is what kubectl 1.36 shows of such a pod.
describe('kubectl’s word', () => {
  it.each<[string, string, number | undefined, readonly ContainerState[], PodEvents | undefined]>([
    ['Running', 'Running', 6, [running], undefined],
    ['NotReady', 'Running', 6, [running, stopped('Completed')], undefined],
    ['Error', 'Running', 6, [running, stopped('Completed'), stopped('Error')], undefined],
    ['Completed', 'Running', 6, [stopped('Completed'), stopped(undefined)], undefined],
    ['CrashLoopBackOff', 'Running', 6, [running, stopped('CrashLoopBackOff')], undefined],
    ['Error', 'Running', 6, [stopped('Error')], undefined],
    ['OOMKilled', 'Failed', 6, [stopped('OOMKilled')], undefined],
    ['Pending', 'Pending', 6, [], undefined],
    ['ContainerCreating', 'Pending', 6, [stopped('ContainerCreating')], undefined],
    ['CreateContainerConfigError', 'Pending', 6, [stopped('CreateContainerConfigError')], undefined],
    ['ErrImagePull', 'Pending', 6, [stopped('ErrImagePull')], undefined],
    ['ImagePullBackOff', 'Pending', 6, [stopped('ImagePullBackOff')], undefined],
    ['Completed', 'Succeeded', 6, [stopped('Completed')], undefined],
    ['Completed', 'Succeeded', 6, [], undefined],
    ['Evicted', 'Failed', 1, [], undefined],
    ['Unknown', 'Running', 3, [running], undefined],
    ['Shutdown', 'Failed', 4, [], undefined],
    ['Error', 'Failed', 6, [], undefined],
    ['Terminating', 'Running', 6, [running], said('Killing', 'Stopping container app')],
    // A failed probe kills, too, and the pod stays.
    ['Running', 'Running', 6, [running], said('Killing', 'Container app failed liveness probe, will be restarted')],
    [
      'Init:CrashLoopBackOff',
      'Pending',
      6,
      [stopped(undefined)],
      said('BackOff', 'Back-off restarting failed', 'spec.initContainers{migrate}'),
    ],
    [
      'Init:ImagePullBackOff',
      'Pending',
      6,
      [stopped(undefined)],
      said('BackOff', 'Back-off pulling image "x"', 'spec.initContainers{migrate}'),
    ],
    [
      'Init:ErrImagePull',
      'Pending',
      6,
      [stopped(undefined)],
      said('Failed', 'Failed to pull image "x"', 'spec.initContainers{migrate}'),
    ],
    // Where the optional metric of reasons is off, events tell the most common ones.
    [
      'CrashLoopBackOff',
      'Running',
      undefined,
      [stopped(undefined)],
      said('BackOff', 'Back-off restarting failed container'),
    ],
    ['ImagePullBackOff', 'Pending', undefined, [stopped(undefined)], said('BackOff', 'Back-off pulling image "x"')],
    ['ErrImageNeverPull', 'Pending', undefined, [stopped(undefined)], said('Failed', 'Error: ErrImageNeverPull')],
    ['Evicted', 'Failed', undefined, [], said('Evicted', 'The node was low on resource: memory', '')],
    ['Running', 'Running', undefined, [running], said('BackOff', 'Back-off restarting failed container')],
  ])('%s', (word, phase, reason, containers, events) => {
    expect(podStatus(phase, reason, containers, events)).toBe(word);
  });

  // What events say of a pod that waits, newest first.
  const init = (name: string, reason: string, message = '') =>
    said(reason, message, `spec.initContainers{${name}}`)[0]!;
  const restarts = 'Back-off restarting failed container';
  it.each<[string, string, PodEvents]>([
    [
      'Init:CrashLoopBackOff',
      'an init container that was started once more',
      [init('a', 'Started'), init('a', 'Created'), init('a', 'Pulled'), init('a', 'BackOff', restarts)],
    ],
    [
      'Init:CrashLoopBackOff',
      'and of which most events were not let through',
      [init('a', 'Pulled'), init('a', 'Started'), init('a', 'Started'), init('a', 'BackOff', restarts)],
    ],
    ['Pending', 'the next one was started', [init('b', 'Started'), init('a', 'BackOff', restarts)]],
    ['Pending', 'the application was started', [...said('Started'), init('a', 'BackOff', restarts)]],
    [
      'Pending',
      'its image was there at last',
      [init('a', 'Started'), init('a', 'BackOff', 'Back-off pulling image "x"')],
    ],
    [
      'Pending',
      'and could not be pulled before',
      [init('a', 'Started'), init('a', 'Failed', 'Failed to pull image "x"')],
    ],
    ['Pending', 'it was started for the first time', [init('a', 'Started'), ...said('Scheduled', '', '')]],
  ])('%s: %s', (word, _, events) => {
    expect(podStatus('Pending', 6, [stopped(undefined)], events)).toBe(word);
  });

  it('is none where no receiver tells', () => {
    expect(podStatus(phaseOf(undefined), undefined, [], undefined)).toBeUndefined();
    expect([1, 2, 3, 4, 5, 9].map(phaseOf)).toEqual([
      'Pending',
      'Running',
      'Succeeded',
      'Failed',
      'Unknown',
      'Unknown',
    ]);
  });
});
