import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runProgram } from '../kit/program.ts';

// JSON Schemas of Kubernetes' objects for kubeconform, from the OpenAPI document in the module of Kubernetes itself, which the
// test cluster is built from: the same version, and no download.

/** As in shared/cluster/kubernetes/go.mod. */
const kubernetesVersion = 'v1.36.3';

type Schema = { [key: string]: unknown };
interface Definition extends Schema {
  readonly properties?: Record<string, Schema>;
  readonly 'x-kubernetes-group-version-kind'?: readonly { group: string; version: string; kind: string }[];
}

/** Writes `deployment-apps-v1.json` and so on, strict: a field that Kubernetes does not know is an error. */
export async function writeKubernetesSchemas(folder: string): Promise<void> {
  const module = `k8s.io/kubernetes@${kubernetesVersion}`;
  const { stdout } = await runProgram('go', ['mod', 'download', '-json', module], { timeoutMs: 280_000 });
  const file = join((JSON.parse(stdout) as { Dir: string }).Dir, 'api/openapi-spec/swagger.json');
  if (!existsSync(file)) throw new Error(`${module} has no ${file}`);
  const { definitions } = JSON.parse(readFileSync(file, 'utf8')) as { definitions: Record<string, Definition> };
  for (const name of Object.keys(definitions)) definitions[name] = strict(name, definitions[name] ?? {});
  writeFileSync(join(folder, '_definitions.json'), JSON.stringify({ definitions }));
  for (const [name, definition] of Object.entries(definitions)) {
    for (const { group, version, kind } of definition['x-kubernetes-group-version-kind'] ?? []) {
      const place = [kind.toLowerCase(), ...(group === '' ? [] : [group.split('.')[0]]), version].join('-');
      writeFileSync(join(folder, `${place}.json`), JSON.stringify({ $ref: `_definitions.json#/definitions/${name}` }));
    }
  }
}

function strict(name: string, definition: Definition): Definition {
  if (name.endsWith('.IntOrString')) return { type: ['string', 'integer'] };
  if (name.endsWith('.resource.Quantity')) return { type: ['string', 'number'] };
  if (!definition.properties || 'additionalProperties' in definition) return definition;
  return { ...definition, additionalProperties: false };
}
