import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, it } from 'vitest';
import { parse } from 'yaml';
import { run } from '../cluster/kit/kubernetes.ts';
import { blocksOf, repository } from '../kit/documents.ts';

// The documents about Kubernetes: what they name exists. Their commands are run by test/cluster/documents.test.ts.

const documents = [
  'k8s/README.md',
  'k8s/QUICKSTART.md',
  'k8s/examples/README.md',
  'K8S_COMPLETE_SUMMARY.md',
  'PRODUCT_ROADMAP.md',
];
const text = (file: string): string => readFileSync(join(repository, file), 'utf8');

it('runs all commands in the tests, but these', () => {
  const notRun = documents
    .flatMap((file) => blocksOf(file))
    .filter(({ notRun }) => notRun !== undefined)
    .map(({ file, section, notRun }) => `${file}, ${section}: ${notRun}`);
  expect(notRun).toEqual([
    'k8s/README.md, Install: needs the images of other projects from their registries',
    'k8s/README.md, Ask: needs a browser, for http://localhost:3001',
    'k8s/QUICKSTART.md, 1. A cluster: needs Minikube',
    'k8s/QUICKSTART.md, 2. The image: needs docker and Minikube',
    'k8s/QUICKSTART.md, 4. What is there already: needs a browser',
    'k8s/QUICKSTART.md, 5. An application: needs docker and Minikube',
    'k8s/examples/README.md, Run it: needs docker',
    'k8s/examples/README.md, Without Kubernetes: two terminals',
  ]);
});

/** What GitHub makes of headings. */
const anchors = (file: string): string[] =>
  [...text(file).matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
    heading!
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );

it.each([...documents, 'README.md', 'WATCHINGCAT_ARCHITECTURE.md'])('%s links to what exists', (file) => {
  const links = [...text(file).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link]) => link!);
  const broken = links.filter((link) => {
    if (/^https?:/.test(link)) return false;
    const [path, anchor] = link.split('#') as [string, string | undefined];
    const target = path === '' ? file : join(dirname(file), path);
    if (!existsSync(join(repository, target))) return true;
    return anchor !== undefined && !anchors(target).includes(anchor);
  });
  expect(broken).toEqual([]);
});

it.each(documents)('%s names options of the scripts and values of the chart that exist', async (file) => {
  const scripts = join(repository, 'k8s/scripts');
  const [install, uninstall] = await Promise.all(
    ['install.sh', 'uninstall.sh'].map(async (name) => (await run(join(scripts, name), ['--help'])).stdout),
  );
  const options = blocksOf(file).flatMap(({ code }) =>
    [...code.matchAll(/scripts\/((?:un)?install\.sh)(.*)/g)].flatMap(([, name, rest]) =>
      [...rest!.matchAll(/(?<= )--[a-z-]+/g)].map(([option]) => ({ name, option })),
    ),
  );
  expect(
    options.filter(({ name, option }) => !(name === 'install.sh' ? install : uninstall)!.includes(option)),
  ).toEqual([]);

  const values = parse(text('k8s/helm/k8s-infra/values.yaml')) as Record<string, unknown>;
  const valueAt = (path: string): unknown =>
    path.split('.').reduce<unknown>((at, key) => (at as Record<string, unknown> | undefined)?.[key], values);
  const named = [
    ...text(file).matchAll(
      /(?<![\w./-])((?:otelAgent|otelDeployment|backend|storage|global|grafana|frontend|rbac)(?:\.\w+)+)/g,
    ),
  ];
  const unknown = named.map(([, path]) => path!).filter((path) => valueAt(path) === undefined);
  // Files of the chart look the same.
  expect(unknown.filter((path) => !path.endsWith('.yaml'))).toEqual([]);
});
