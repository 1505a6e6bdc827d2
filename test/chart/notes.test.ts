import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { parse } from 'yaml';
import { backendProgram, runProgram } from '../kit/program.ts';
import { chart, render, TemporaryFolder, valuesFiles } from './kit.ts';

// What `helm install` says at its end. `helm template` leaves it out, so it is rendered as the file of a ConfigMap.

async function notes(values: string, args: readonly string[] = []): Promise<string> {
  using folder = new TemporaryFolder();
  const copy = join(folder.path, 'k8s-infra');
  cpSync(chart, copy, { recursive: true });
  const text = readFileSync(join(copy, 'templates/NOTES.txt'), 'utf8');
  rmSync(join(copy, 'templates/NOTES.txt'));
  writeFileSync(join(copy, 'files/notes'), text);
  writeFileSync(join(copy, 'templates/notes.yaml'), 'notes: {{ tpl (.Files.Get "files/notes") . | toJson }}\n');
  const file = join(chart, 'ci', `${values}-values.yaml`);
  const all = ['template', 'watchingcat', copy, '--namespace', 'observability', '--values', file, ...args];
  const { stdout } = await runProgram(backendProgram('helm'), [...all, '--show-only', 'templates/notes.yaml']);
  return (parse(stdout) as { notes: string }).notes;
}

it.each(valuesFiles)('%s: three next commands, about what is installed', async (values) => {
  const text = await notes(values);
  expect(text.match(/^ {2}[123]\. .*\n {5}(kubectl|helm) .*-n observability.*$/gm)).toHaveLength(3);
  expect(text).not.toMatch(/<no value>|<nil>|%!/);
  const services = (await render(values)).names('Service');
  for (const [, service] of text.matchAll(/svc\/([a-z-]+)/g)) expect(services).toContain(service);
  for (const [, service] of text.matchAll(/\/\/([a-z-]+)\.observability\.svc/g)) expect(services).toContain(service);
});

it.each([
  ['default', 'logs     elasticsearch (bundled)'],
  ['default', 'This cluster has no name'],
  ['default', 'is lost with a node. To keep it on volumes: --set backend.persistence.enabled=true'],
  ['external-stores', 'metrics  prometheus (external)'],
  ['embedded', 'traces   in the backend itself, for 7d'],
  ['no-stores', 'otelAgent is off: no container logs'],
  ['no-stores', 'The backend has one pod, not 2'],
  ['persistence', 'watchingcat-otel-scraper, one pod'],
  ['default', 'The bundled stores have one pod each'],
])('%s says: %s', async (values, sentence) => expect(await notes(values)).toContain(sentence));

it.each(['jaeger', 'prometheus', 'elasticsearch'])(
  'says of a bundled %s alone that there is no copy of it',
  async (store) => {
    const off = ['jaeger', 'prometheus', 'elasticsearch'].filter((each) => each !== store);
    const args = ['--set', off.map((each) => `storage.${each}.enabled=false`).join()];
    expect(await notes('default', args)).toContain('The bundled stores have one pod each and no copy of anything');
  },
);

it.each([
  ['embedded', 'The bundled stores'],
  ['external-stores', 'The bundled stores'],
  ['persistence', 'ephemeral'],
  ['embedded', 'This cluster has no name'],
  ['embedded', 'Grafana'],
  ['no-node-files', 'The logs of all containers are read'],
])('%s does not say: %s', async (values, sentence) => expect(await notes(values)).not.toContain(sentence));
