import { expect, it } from 'vitest';
import { parse } from 'yaml';
import { type Container, type KubernetesObject, type PodSpec, render } from './kit.ts';

// What two profiles install, told so that a person can read it: a change of the chart shows what it changes in a cluster.
// `npx vitest run --project chart golden -u` writes the files anew.

it.each(['default', 'embedded'])('%s', async (values) => {
  const { objects } = await render(values);
  const told = objects.map(tell).sort();
  await expect(`${told.join('\n')}`).toMatchFileSnapshot(`golden/${values}.txt`);
});

/** One object: its head, then a line for each fact. */
function tell(object: KubernetesObject): string {
  const facts = [...factsOf(object)].map((fact) => `  ${fact}\n`).join('');
  return `${object.kind} ${object.metadata.name}\n${facts}`;
}

function* factsOf(object: KubernetesObject): Generator<string> {
  const { kind, spec = {}, data = {}, rules = [] } = object;
  if (kind === 'Pod') yield* podFacts(spec as unknown as PodSpec);
  if (spec.replicas !== undefined) yield `replicas ${spec.replicas}`;
  if (kind === 'CronJob') {
    const { schedule, jobTemplate } = spec as unknown as { schedule: string; jobTemplate: KubernetesObject };
    yield `schedule ${schedule}`;
    if (jobTemplate.spec?.template) yield* podFacts(jobTemplate.spec.template.spec);
  }
  if (spec.template) yield* podFacts(spec.template.spec);
  if (kind === 'Service') {
    const { clusterIP, internalTrafficPolicy, selector } = spec as Record<string, unknown>;
    yield `app ${(selector as { app: string }).app}${clusterIP === 'None' ? ', headless' : ''}${internalTrafficPolicy === 'Local' ? ', on the same node' : ''}`;
    yield `ports ${(spec.ports ?? []).map(({ name, port }) => `${name} ${port}`).join(', ')}`;
  }
  for (const { apiGroups = [], resources = [], resourceNames = [], nonResourceURLs = [], verbs } of rules) {
    yield `may ${verbs.join(', ')}: ${[...resources, ...nonResourceURLs].join(', ')}${apiGroups.join('') === '' ? '' : ` (${apiGroups.join()})`}${resourceNames.length === 0 ? '' : ` named ${resourceNames.join()}`}`;
  }
  if (kind === 'Secret') yield `keys ${Object.keys(data).join(', ')}`;
  if (kind === 'ConfigMap') for (const [name, text] of Object.entries(data)) yield* fileFacts(name, text);
  if (kind === 'PersistentVolumeClaim') yield `size ${JSON.stringify(spec['resources'])}`;
  if (kind === 'NetworkPolicy') yield `from ${JSON.stringify((spec['ingress'] as unknown[]) ?? [])}`;
}

function* podFacts(pod: PodSpec): Generator<string> {
  const { securityContext: of = {}, volumes = [] } = pod;
  for (const container of pod.containers) yield* containerFacts(container);
  yield `user ${of.runAsUser}${pod.automountServiceAccountToken ? `, with the token of ${pod.serviceAccountName}` : ''}`;
  for (const { name, ...volume } of volumes) yield `volume ${name}: ${JSON.stringify(volume)}`;
}

function* containerFacts({
  image,
  args = [],
  env = [],
  ports = [],
  resources,
  volumeMounts = [],
}: Container): Generator<string> {
  yield `image ${image}`;
  if (args.length > 0) yield `args ${args.join(' ')}`;
  yield `resources ${JSON.stringify(resources?.requests)} to ${JSON.stringify(resources?.limits)}`;
  yield `ports ${ports.map(({ name, containerPort, hostPort }) => `${name} ${containerPort}${hostPort ? ' (host)' : ''}`).join(', ')}`;
  for (const { name, value, valueFrom } of env) yield `env ${name}=${value ?? JSON.stringify(valueFrom)}`;
  yield `mounts ${volumeMounts.map(({ mountPath, readOnly }) => `${mountPath}${readOnly ? '' : ' (writes)'}`).join(', ')}`;
}

function* fileFacts(name: string, text: string): Generator<string> {
  if (name !== 'config.yaml') return yield `file ${name}`;
  const { service } = parse(text) as { service: { pipelines: Record<string, Record<string, string[]>> } };
  for (const [pipeline, { receivers, processors, exporters }] of Object.entries(service.pipelines)) {
    yield `${pipeline}: ${receivers?.join(', ')} → ${processors?.join(', ')} → ${exporters?.join(', ')}`;
  }
}
