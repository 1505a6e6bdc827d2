import { attributes, type Requests, type Resource } from '../otlp/json.ts';
import { type ClusterPod, crashIntervalMs, cronJob, type Inventory, jobIntervalMs } from './inventory.ts';
import { demoMark } from './shop.ts';

// What Kubernetes says happened, in the form of the Collector's k8s_events receiver: log records with the object in the
// resource and k8s.event.* in the attributes. Events of pods have what enrichment adds.

/**
 * The incident of a run: fraud-check gets a new version that needs more memory than it may have, and is rolled back.
 * Unix milliseconds.
 */
export interface Incident {
  readonly deployedMs: number;
  readonly sickMs: number;
  readonly mendedMs: number;
}

interface KubernetesEvent {
  readonly atMs: number;
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  readonly message: string;
  readonly object: InvolvedObject;
  readonly count: number;
}

interface InvolvedObject {
  readonly resource: Resource;
  readonly name: string;
  readonly uid: string;
  readonly namespace: string;
}

/** What happened after one time, up to another; in Unix milliseconds. @param beginMs When the story begins. */
export function eventsBetween(
  inventory: Inventory,
  incident: Incident | undefined,
  beginMs: number,
  fromMs: number,
  toMs: number,
): Requests['logs'] {
  const events = [
    ...(incident === undefined ? [] : incidentEvents(inventory, incident)),
    ...crashes(inventory.crashing, beginMs, fromMs, toMs),
    ...jobs(inventory, fromMs, toMs),
  ];
  const due = events.filter(({ atMs }) => atMs > fromMs && atMs <= toMs).sort((a, b) => a.atMs - b.atMs);
  return { resourceLogs: due.map(recordOf) };
}

function incidentEvents({ workloads }: Inventory, { deployedMs, sickMs, mendedMs }: Incident): KubernetesEvent[] {
  const deployment = workloads.find(({ name }) => name === 'fraud-check')!;
  const pod = deployment.pods[0]!;
  const [ofPod, ofContainer] = [objectOf(pod), objectOf(pod, true)];
  const ofDeployment = plainObject(deployment.kind, deployment.namespace, deployment.name, deployment.uid);
  const { image, tag, name } = pod.container;
  return [
    normal(
      deployedMs,
      ofDeployment,
      'ScalingReplicaSet',
      `Scaled up replica set ${deployment.replicaSet} from 0 to ${deployment.pods.length}`,
    ),
    normal(deployedMs + 1_000, ofPod, 'Scheduled', scheduled(pod)),
    normal(deployedMs + 4_000, ofContainer, 'Pulled', `Successfully pulled image "${image}:${tag}" in 2.81s`),
    normal(deployedMs + 5_000, ofContainer, 'Started', 'Container started'),
    warning(sickMs, ofContainer, 'Unhealthy', 'Readiness probe failed: HTTP probe failed with statuscode: 503', 3),
    warning(
      sickMs + 20_000,
      ofPod,
      'OOMKilling',
      'Memory cgroup out of memory: Killed process 4711 (python) total-vm:1187340kB, anon-rss:523904kB',
    ),
    warning(sickMs + 65_000, ofContainer, 'BackOff', backOff(pod, name), 2),
    normal(mendedMs, ofDeployment, 'DeploymentRollback', 'Rolled back deployment "fraud-check" to revision 11'),
  ];
}

/** The container that is started again and again. */
function crashes(pod: ClusterPod, beginMs: number, fromMs: number, toMs: number): KubernetesEvent[] {
  const object = objectOf(pod, true);
  const { image, tag, name } = pod.container;
  const events: KubernetesEvent[] = [];
  const first = Math.max(1, Math.floor((fromMs - beginMs) / crashIntervalMs));
  for (let crash = first; beginMs + crash * crashIntervalMs <= toMs; crash++) {
    const atMs = beginMs + crash * crashIntervalMs;
    const { restarts } = pod.state(atMs);
    const present = `Container image "${image}:${tag}" already present on machine and can be accessed by the pod`;
    events.push(
      normal(atMs, object, 'Pulled', present, restarts + 1),
      normal(atMs, object, 'Created', 'Container created', restarts + 1),
      normal(atMs + 1_000, object, 'Started', 'Container started', restarts + 1),
      warning(atMs + 9_000, object, 'BackOff', backOff(pod, name), restarts),
    );
  }
  return events;
}

function jobs(inventory: Inventory, fromMs: number, toMs: number): KubernetesEvent[] {
  const events: KubernetesEvent[] = [];
  const first = Math.floor(fromMs / jobIntervalMs) * jobIntervalMs;
  for (let atMs = first; atMs <= toMs; atMs += jobIntervalMs) {
    const job = inventory.jobAt(atMs);
    const { pod, name, startMs, endMs } = job;
    const ofCronJob = plainObject('CronJob', cronJob.namespace, cronJob.name, inventory.cronJobUid);
    const ofJob = plainObject('Job', cronJob.namespace, name, job.uid);
    const { image, tag } = pod.container;
    events.push(
      normal(startMs, ofCronJob, 'SuccessfulCreate', `Created job ${name}`),
      normal(startMs, ofJob, 'SuccessfulCreate', `Created pod: ${pod.name}`),
      normal(startMs, objectOf(pod), 'Scheduled', scheduled(pod)),
      normal(
        startMs + 1_000,
        objectOf(pod, true),
        'Pulled',
        `Container image "${image}:${tag}" already present on machine and can be accessed by the pod`,
      ),
      normal(startMs + 1_000, objectOf(pod, true), 'Created', 'Container created'),
      normal(startMs + 2_000, objectOf(pod, true), 'Started', 'Container started'),
      normal(endMs, ofJob, 'Completed', 'Job completed'),
      normal(endMs, ofCronJob, 'SawCompletedJob', `Saw completed job: ${name}, condition: Complete`),
    );
  }
  return events;
}

function normal(atMs: number, object: InvolvedObject, reason: string, message: string, count = 1): KubernetesEvent {
  return { atMs, type: 'Normal', reason, message, object, count };
}

function warning(atMs: number, object: InvolvedObject, reason: string, message: string, count = 1): KubernetesEvent {
  return { atMs, type: 'Warning', reason, message, object, count };
}

function scheduled({ namespace, name, node }: ClusterPod): string {
  return `Successfully assigned ${namespace}/${name} to ${node}`;
}

function backOff({ namespace, name, uid }: ClusterPod, container: string): string {
  return `Back-off restarting failed container ${container} in pod ${name}_${namespace}(${uid})`;
}

/** @param ofContainer It is about the pod's container, which its path says. */
function objectOf({ resource, namespace, name, uid, container }: ClusterPod, ofContainer = false): InvolvedObject {
  const about = attributes({
    'k8s.object.kind': 'Pod',
    'k8s.object.name': name,
    'k8s.object.uid': uid,
    'k8s.object.api_version': 'v1',
    'k8s.object.fieldpath': ofContainer ? `spec.containers{${container.name}}` : '',
  });
  return { resource: { attributes: [...about, ...resource.attributes] }, name, uid, namespace };
}

function plainObject(kind: string, namespace: string, name: string, uid: string): InvolvedObject {
  const about = {
    'k8s.object.kind': kind,
    'k8s.object.name': name,
    'k8s.object.uid': uid,
    'k8s.object.fieldpath': '',
    'k8s.namespace.name': namespace,
    ...demoMark,
  };
  return { resource: { attributes: attributes(about) }, name, uid, namespace };
}

function recordOf({ atMs, type, reason, message, object, count }: KubernetesEvent) {
  const time = String(BigInt(atMs) * 1_000_000n);
  return {
    resource: object.resource,
    scopeLogs: [
      {
        scope: { name: 'github.com/open-telemetry/opentelemetry-collector-contrib/receiver/k8seventsreceiver' },
        logRecords: [
          {
            timeUnixNano: time,
            observedTimeUnixNano: time,
            severityNumber: type === 'Warning' ? 13 : 9,
            severityText: type,
            body: { stringValue: message },
            attributes: attributes({
              'k8s.event.reason': reason,
              'k8s.event.action': '',
              'k8s.event.name': `${object.name}.${object.uid.slice(0, 16)}`,
              'k8s.event.count': count,
              'k8s.namespace.name': object.namespace,
            }),
          },
        ],
      },
    ],
  };
}
