import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { backendProgram, runProgram } from '../kit/program.ts';
import { chart, type KubernetesObject, objectsIn, render, renderText, TemporaryFolder, valuesFiles } from './kit.ts';
import { writeKubernetesSchemas } from './kubernetes-schemas.ts';

// Each values file in `ci/` gives objects that Kubernetes takes.

/** Kinds of operators: no part of Kubernetes. */
const otherKinds = ['HTTPRoute', 'ServiceMonitor'];

it.each(valuesFiles)('helm lint takes %s', async (values) => {
  const { stdout } = await runProgram(backendProgram('helm'), [
    'lint',
    chart,
    '--strict',
    '--values',
    join(chart, 'ci', `${values}-values.yaml`),
  ]);
  expect(stdout).toContain('1 chart(s) linted, 0 chart(s) failed');
});

describe('kubeconform', () => {
  const folder = new TemporaryFolder();
  beforeAll(async () => {
    await writeKubernetesSchemas(folder.path);
    return () => folder[Symbol.dispose]();
  });

  async function conform(text: string): Promise<string> {
    const file = join(folder.path, 'objects.yaml');
    writeFileSync(file, text);
    const schemas = join(folder.path, '{{.ResourceKind}}{{.KindSuffix}}.json');
    const args = ['-strict', '-summary', '-skip', otherKinds.join(','), '-schema-location', schemas, file];
    return (await runProgram(backendProgram('kubeconform'), args)).stdout;
  }

  it.each(valuesFiles)('takes what %s gives', async (values) => {
    expect(await conform(await renderText(values))).toMatch(/Valid: \d+, Invalid: 0, Errors: 0/);
  });
  it('refuses a field that Kubernetes does not know, so that these tests can fail', async () => {
    const service = { apiVersion: 'v1', kind: 'Service', metadata: { name: 'a' }, spec: { selectors: { app: 'a' } } };
    await expect(conform(JSON.stringify(service))).rejects.toThrow('selectors');
  });
});

it.each(valuesFiles)(
  '%s: each object has the release’s namespace and labels, and a name of its own',
  async (values) => {
    const { objects } = await render(values);
    const ours = objects.filter(({ metadata }) => metadata.name !== 'extra');
    for (const { kind, metadata } of ours) {
      expect(metadata.labels, `${kind} ${metadata.name}`).toMatchObject({
        'app.kubernetes.io/instance': 'watchingcat',
        'app.kubernetes.io/part-of': 'watchingcat',
      });
      if (!/^Cluster/.test(kind)) expect(metadata.namespace, `${kind} ${metadata.name}`).toBe('observability');
      else expect(metadata.name).toMatch(/-observability$/);
    }
    const names = ours.map(({ kind, metadata }) => `${kind} ${metadata.name}`);
    expect(new Set(names).size).toBe(names.length);
  },
);

it.each(valuesFiles)('%s: each Service, claim, ConfigMap and Secret that is named is there', async (values) => {
  const rendered = await render(values);
  for (const { name, spec } of rendered.pods()) {
    for (const { configMap, persistentVolumeClaim } of (spec.volumes ?? []) as unknown as NamedVolume[]) {
      if (configMap) expect(rendered.names('ConfigMap'), name).toContain(configMap.name);
      const claim = persistentVolumeClaim?.claimName;
      if (claim !== undefined && claim !== 'elasticsearch-old') {
        expect(rendered.names('PersistentVolumeClaim'), name).toContain(claim);
      }
    }
    const mounted = (spec.containers[0]?.volumeMounts ?? []).map((mount) => mount.name);
    const claims = claimTemplates(rendered.objects, name);
    for (const mount of mounted)
      expect([...(spec.volumes ?? []).map((volume) => volume.name), ...claims]).toContain(mount);
  }
  for (const service of rendered.objects.filter(({ kind }) => kind === 'Service')) {
    const app = (service.spec?.['selector'] as { app?: string } | undefined)?.app;
    const target = rendered.pods().find(({ labels }) => labels['app'] === app);
    const ports = (target?.spec.containers[0]?.ports ?? []).map(({ name }) => name);
    for (const { name } of service.spec?.ports ?? []) expect(ports, `${service.metadata.name} ${name}`).toContain(name);
  }
});

interface NamedVolume {
  readonly configMap?: { name: string };
  readonly persistentVolumeClaim?: { claimName: string };
}

function claimTemplates(objects: readonly KubernetesObject[], name: string): string[] {
  const set = objects.find(({ kind, metadata }) => kind === 'StatefulSet' && metadata.name === name);
  const templates = (set?.spec?.['volumeClaimTemplates'] ?? []) as { metadata: { name: string } }[];
  return templates.map(({ metadata }) => metadata.name);
}

it('the interfaces of old Kubernetes versions are used where the new ones are missing', async () => {
  const version = (text: string, kind: string): string | undefined =>
    objectsIn(text).find((object) => object.kind === kind)?.apiVersion;
  const old = await renderText('everything', ['--kube-version', '1.19.0']);
  expect(version(old, 'PodDisruptionBudget')).toBe('policy/v1beta1');
  expect(version(old, 'HorizontalPodAutoscaler')).toBe('autoscaling/v2beta2');
  expect(old).not.toContain('internalTrafficPolicy');
  const now = await renderText('everything');
  expect(version(now, 'PodDisruptionBudget')).toBe('policy/v1');
  expect(version(now, 'HorizontalPodAutoscaler')).toBe('autoscaling/v2');
});
