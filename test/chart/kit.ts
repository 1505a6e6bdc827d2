import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseAllDocuments } from 'yaml';
import { backendProgram, runProgram } from '../kit/program.ts';

// The chart as `helm template` renders it.

export const chart: string = fileURLToPath(new URL('../../k8s/helm/k8s-infra', import.meta.url));

/** Names of the values files in `ci/`, such as `default`. */
export const valuesFiles: readonly string[] = readdirSync(join(chart, 'ci')).map((name) =>
  name.replace(/-values\.yaml$/, ''),
);

export interface Container {
  readonly name: string;
  readonly image: string;
  readonly args?: readonly string[];
  readonly env?: readonly {
    name: string;
    value?: string;
    valueFrom?: { secretKeyRef?: { name: string; key: string } };
  }[];
  readonly ports?: readonly { name: string; containerPort: number; hostPort?: number }[];
  readonly resources?: { requests?: Record<string, string>; limits?: Record<string, string> };
  readonly securityContext?: SecurityContext;
  readonly volumeMounts?: readonly { name: string; mountPath: string; readOnly?: boolean }[];
  readonly livenessProbe?: { periodSeconds?: number };
}
interface SecurityContext {
  readonly runAsNonRoot?: boolean;
  readonly runAsUser?: number;
  readonly fsGroup?: number;
  readonly privileged?: boolean;
  readonly allowPrivilegeEscalation?: boolean;
  readonly readOnlyRootFilesystem?: boolean;
  readonly capabilities?: { drop?: readonly string[]; add?: readonly string[] };
  readonly seccompProfile?: { type: string };
}
export interface PodSpec {
  readonly containers: readonly Container[];
  readonly initContainers?: readonly Container[];
  readonly volumes?: readonly ({ readonly name: string } & Record<string, unknown>)[];
  readonly securityContext?: SecurityContext;
  readonly serviceAccountName?: string;
  readonly automountServiceAccountToken?: boolean;
  readonly terminationGracePeriodSeconds?: number;
  readonly hostNetwork?: boolean;
  readonly hostPID?: boolean;
  readonly hostIPC?: boolean;
}
export interface KubernetesObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels: Record<string, string>;
    readonly annotations?: Record<string, string>;
  };
  readonly data?: Record<string, string>;
  readonly spec?: Record<string, unknown> & {
    readonly replicas?: number;
    readonly template?: {
      readonly metadata: { labels: Record<string, string>; annotations?: Record<string, string> };
      readonly spec: PodSpec;
    };
    readonly ports?: readonly { name: string; port: number }[];
  };
  readonly rules?: readonly {
    apiGroups?: string[];
    resources?: string[];
    resourceNames?: string[];
    verbs: string[];
    nonResourceURLs?: string[];
  }[];
}

/**
 * Renders the chart as `helm install watchingcat -n observability` would.
 * @param values name of a file in `ci/`; undefined: none.
 * @param args further arguments, such as `--set`.
 * @throws Error with what Helm says.
 */
export async function renderText(values?: string, args: readonly string[] = []): Promise<string> {
  const file = values === undefined ? [] : ['--values', join(chart, 'ci', `${values}-values.yaml`)];
  const all = ['template', 'watchingcat', chart, '--namespace', 'observability', ...file, ...args];
  return (await runProgram(backendProgram('helm'), all)).stdout;
}

export async function render(values?: string, args: readonly string[] = []): Promise<Rendered> {
  return new Rendered(objectsIn(await renderText(values, args)));
}

/** @throws Error for text that is no YAML, and for a key that is written twice. */
export function objectsIn(text: string): KubernetesObject[] {
  return parseAllDocuments(text).flatMap((document) => {
    if (document.errors[0]) throw document.errors[0];
    const object = document.toJS() as KubernetesObject | null;
    return object === null ? [] : [object];
  });
}

export class Rendered {
  readonly objects: readonly KubernetesObject[];
  constructor(objects: readonly KubernetesObject[]) {
    this.objects = objects;
  }
  /** @throws Error where there is none. */
  get(kind: string, name: string): KubernetesObject {
    const found = this.objects.find((object) => object.kind === kind && object.metadata.name === name);
    if (!found) throw new Error(`no ${kind} ${name}; there are ${this.names(kind).join(', ') || 'none'}`);
    return found;
  }
  names(kind: string): string[] {
    return this.objects.filter((object) => object.kind === kind).map(({ metadata }) => metadata.name);
  }
  /** A file of a ConfigMap. */
  file(configMap: string, name: string): string {
    const text = this.get('ConfigMap', configMap).data?.[name];
    if (text === undefined) throw new Error(`ConfigMap ${configMap} has no ${name}`);
    return text;
  }
  /** Pods of all workloads and hooks. */
  pods(): {
    readonly name: string;
    readonly kind: string;
    readonly labels: Record<string, string>;
    readonly spec: PodSpec;
  }[] {
    return this.objects.flatMap(({ kind, metadata, spec }) => {
      if (kind === 'Pod')
        return [{ name: metadata.name, kind, labels: metadata.labels, spec: spec as unknown as PodSpec }];
      const job = (spec?.['jobTemplate'] as { spec: NonNullable<KubernetesObject['spec']> } | undefined)?.spec;
      const template = (job ?? spec)?.template;
      if (!template?.spec?.containers) return [];
      return [{ name: metadata.name, kind, labels: template.metadata.labels, spec: template.spec }];
    });
  }
  /** The main container of a workload. */
  container(name: string): Container {
    const found = this.pods().find((pod) => pod.name === name)?.spec.containers[0];
    if (!found) throw new Error(`no workload ${name}`);
    return found;
  }
  /** The values of its environment variables; `secret/KEY` for those from a Secret. */
  environment(name: string): Record<string, string | undefined> {
    return Object.fromEntries(
      (this.container(name).env ?? []).map(({ name: variable, value, valueFrom }) => {
        const ref = valueFrom?.secretKeyRef;
        return [variable, ref ? `${ref.name}/${ref.key}` : value];
      }),
    );
  }
}

export class TemporaryFolder implements Disposable {
  readonly path: string = mkdtempSync(join(tmpdir(), 'chart-'));
  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}
