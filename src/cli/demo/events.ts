import { attributes, type Requests } from '../otlp/json.ts';
import type { Pods } from './journeys.ts';
import { demoMark } from './shop.ts';

// What Kubernetes says happened, in the form of the Collector's k8s_events receiver: log records with the object in the
// resource and k8s.event.* in the attributes.

/** The incident of a run: fraud-check gets a new version that needs more memory than it may have, and is rolled back. */
export interface Incident {
  readonly deployedUnixNano: bigint;
  readonly sickUnixNano: bigint;
  readonly mendedUnixNano: bigint;
}

interface KubernetesEvent {
  readonly timeUnixNano: bigint;
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  readonly message: string;
  readonly kind: 'Pod' | 'Deployment';
  readonly name: string;
  readonly uid: string;
  readonly namespace: string;
  readonly node?: string;
  readonly count?: number;
}

export function incidentEvents(
  pods: Pods,
  { deployedUnixNano, sickUnixNano, mendedUnixNano }: Incident,
): Requests['logs'] {
  const [pod] = pods['fraud-check'];
  const seconds = (count: number) => BigInt(count) * 1_000_000_000n;
  const ofPod = { kind: 'Pod', name: pod.name, uid: pod.uid, namespace: 'payments', node: pod.node } as const;
  const deployment = {
    kind: 'Deployment',
    name: 'fraud-check',
    uid: `${pod.uid.slice(0, 24)}000000000000`,
    namespace: 'payments',
  } as const;
  return eventRequest([
    {
      ...deployment,
      timeUnixNano: deployedUnixNano,
      type: 'Normal',
      reason: 'ScalingReplicaSet',
      message: `Scaled up replica set ${pod.name.slice(0, -6)} from 0 to 2`,
    },
    {
      ...ofPod,
      timeUnixNano: deployedUnixNano + seconds(1),
      type: 'Normal',
      reason: 'Scheduled',
      message: `Successfully assigned payments/${pod.name} to ${pod.node}`,
    },
    {
      ...ofPod,
      timeUnixNano: deployedUnixNano + seconds(4),
      type: 'Normal',
      reason: 'Pulled',
      message: 'Successfully pulled image "registry.example/fraud-check:2.3.0" in 2.81s',
    },
    {
      ...ofPod,
      timeUnixNano: deployedUnixNano + seconds(5),
      type: 'Normal',
      reason: 'Started',
      message: 'Started container fraud-check',
    },
    {
      ...ofPod,
      timeUnixNano: sickUnixNano,
      type: 'Warning',
      reason: 'Unhealthy',
      message: 'Readiness probe failed: HTTP probe failed with statuscode: 503',
      count: 3,
    },
    {
      ...ofPod,
      timeUnixNano: sickUnixNano + seconds(20),
      type: 'Warning',
      reason: 'OOMKilling',
      message: 'Memory cgroup out of memory: Killed process 4711 (python) total-vm:1187340kB, anon-rss:523904kB',
    },
    {
      ...ofPod,
      timeUnixNano: sickUnixNano + seconds(40),
      type: 'Warning',
      reason: 'BackOff',
      message: `Back-off restarting failed container fraud-check in pod ${pod.name}_payments(${pod.uid})`,
      count: 5,
    },
    {
      ...deployment,
      timeUnixNano: mendedUnixNano,
      type: 'Normal',
      reason: 'DeploymentRollback',
      message: 'Rolled back deployment "fraud-check" to revision 11',
    },
  ]);
}

/** What goes on when nothing does: a probe that fails once, an image that is there already. */
export function quietEvent(pods: Pods, timeUnixNano: bigint): Requests['logs'] {
  const [pod] = pods.catalog;
  return eventRequest([
    {
      timeUnixNano,
      type: 'Warning',
      reason: 'Unhealthy',
      message: 'Liveness probe failed: context deadline exceeded',
      kind: 'Pod',
      name: pod.name,
      uid: pod.uid,
      namespace: 'shop',
      node: pod.node,
      count: 1,
    },
  ]);
}

function eventRequest(events: readonly KubernetesEvent[]): Requests['logs'] {
  return {
    resourceLogs: events.map((event) => ({
      resource: {
        attributes: attributes({
          'k8s.object.kind': event.kind,
          'k8s.object.name': event.name,
          'k8s.object.uid': event.uid,
          'k8s.namespace.name': event.namespace,
          ...(event.node === undefined ? {} : { 'k8s.node.name': event.node }),
          ...(event.kind === 'Pod' ? { 'k8s.pod.name': event.name, 'k8s.pod.uid': event.uid } : {}),
          ...demoMark,
        }),
      },
      scopeLogs: [
        {
          scope: { name: 'github.com/open-telemetry/opentelemetry-collector-contrib/receiver/k8seventsreceiver' },
          logRecords: [
            {
              timeUnixNano: String(event.timeUnixNano),
              observedTimeUnixNano: String(event.timeUnixNano),
              severityNumber: event.type === 'Warning' ? 13 : 9,
              severityText: event.type,
              body: { stringValue: event.message },
              attributes: attributes({
                'k8s.event.reason': event.reason,
                'k8s.event.action': '',
                'k8s.event.name': `${event.name}.${event.uid.slice(0, 16)}`,
                'k8s.event.count': event.count ?? 1,
                'k8s.namespace.name': event.namespace,
              }),
            },
          ],
        },
      ],
    })),
  };
}
