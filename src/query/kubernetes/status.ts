// kubectl's words for a pod. Source: printPod in kubernetes/pkg/printers/internalversion, as far as receivers tell.

export interface ContainerState {
  readonly name: string;
  readonly ready: boolean | undefined;
  /** Why it waits or ended; undefined while it runs, or where the receiver's metric is off. */
  readonly reason: string | undefined;
}

/** What the events of a pod say, newest first; at least one. */
export type PodEvents = readonly {
  readonly reason: string;
  readonly message: string;
  /** Of the container, such as `spec.initContainers{migrate}`; '' where it is about the pod. */
  readonly fieldPath: string;
}[];

/** Values of `k8s.pod.phase`. */
const phases = ['', 'Pending', 'Running', 'Succeeded', 'Failed', 'Unknown'] as const;
/** Values of `k8s.pod.status_reason` that say more than the phase. */
const statusReasons = ['', 'Evicted', 'NodeAffinity', 'NodeLost', 'Shutdown', 'UnexpectedAdmissionError'] as const;

export function phaseOf(value: number | undefined): string | undefined {
  return value === undefined ? undefined : phases[value] || 'Unknown';
}

/** @param phase undefined: no receiver tells. */
export function podStatus(
  phase: string | undefined,
  statusReason: number | undefined,
  containers: readonly ContainerState[],
  events: PodEvents | undefined,
): string | undefined {
  // No receiver tells when a pod is being deleted; the kubelet does, by its last event.
  if (events?.[0]?.reason === 'Killing' && events[0].message.startsWith('Stopping container')) {
    return 'Terminating';
  }
  const ofPod = statusReasons[statusReason ?? 0] || undefined;
  if (ofPod === 'NodeLost') return 'Unknown';
  const reasons = containers.flatMap(({ reason }) => reason ?? []);
  // Of several kubectl takes the first container's; no receiver tells their order.
  const said =
    reasons.find((reason) => !ended.has(reason)) ?? reasons.find((reason) => reason !== 'Completed') ?? reasons[0];
  if (said === 'Completed') return containers.some(({ ready }) => ready) ? 'NotReady' : 'Completed';
  if (said !== undefined) return said;
  if (ofPod !== undefined) return ofPod;
  if (phase === 'Succeeded') return 'Completed';
  if (phase === 'Failed') return failedBy(events) ?? 'Error';
  const ready = containers.length > 0 && containers.every((container) => container.ready !== false);
  return (ready ? undefined : waitsFor(events)) ?? phase;
}

const ended: ReadonlySet<string> = new Set(['Completed', 'Error', 'OOMKilled', 'ContainerCannotRun']);

/**
 * @param events Not all that happened: after 25 of a pod Kubernetes lets one through in five minutes. So an init container that
 *   was started again is taken to fail again until another one is started.
 */
function waitsFor(events: PodEvents | undefined): string | undefined {
  let startedInit: string | undefined;
  for (const { reason, message, fieldPath } of events ?? []) {
    const init = fieldPath.startsWith('spec.initContainers{') ? 'Init:' : '';
    const isRestart = reason === 'BackOff' && !message.startsWith('Back-off pulling');
    const isWithoutImage = !isRestart && (reason === 'BackOff' || reason === 'Failed');
    // What was before another container began, or before the image was there, is over.
    if (startedInit !== undefined && fieldPath !== '' && (fieldPath !== startedInit || isWithoutImage))
      return undefined;
    if (isRestart) return `${init}CrashLoopBackOff`;
    if (reason === 'BackOff') return `${init}ImagePullBackOff`;
    if (reason === 'Started') {
      if (init === '') return undefined;
      startedInit = fieldPath;
    }
    if (reason === 'Failed' && /ErrImageNeverPull/.test(message)) return `${init}ErrImageNeverPull`;
    if (reason === 'Failed' && /pull image/.test(message)) return `${init}ErrImagePull`;
  }
  return undefined;
}

function failedBy(events: PodEvents | undefined): string | undefined {
  return events?.some(({ reason }) => reason === 'Evicted') ? 'Evicted' : undefined;
}
