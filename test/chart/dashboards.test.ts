import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { chartFile, chartFolder } from '../../scripts/chart/values.ts';
import { ownMetrics } from '../../src/self/index.ts';
import { backendProgram, runProgram } from '../kit/program.ts';
import { render, TemporaryFolder } from './kit.ts';

// Grafana is not run here: what it is given is held to what there is. Dashboards ask for names that somebody writes, and data
// sources are those that the dashboards name.

interface Dashboard {
  readonly uid: string;
  readonly title: string;
  readonly annotations?: { readonly list: readonly { readonly datasource: { readonly uid: string } }[] };
  readonly templating: {
    readonly list: readonly { readonly name: string; readonly query: { readonly query: string } }[];
  };
  readonly panels: readonly {
    readonly id: number;
    readonly title: string;
    readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
    readonly targets: readonly {
      readonly expr?: string;
      readonly query?: string;
      readonly datasource: { readonly uid: string };
    }[];
  }[];
}

const dashboards = readdirSync(new URL('files/dashboards', chartFolder)).map(
  (name) => [name, JSON.parse(chartFile(`files/dashboards/${name}`)) as Dashboard] as const,
);
const rules = parse(chartFile('files/recording-rules.yaml')) as { groups: { rules: { record: string }[] }[] };
const known = new Set([
  ...rules.groups.flatMap((group) => group.rules.map(({ record }) => record)),
  ...Object.keys(ownMetrics),
]);

describe.each(dashboards)('%s', (_, { annotations, templating, panels }) => {
  it('asks for metrics that there are, in PromQL that Prometheus takes', async () => {
    const expressions = panels.flatMap(({ targets }) =>
      targets.flatMap(({ expr }) => (expr === undefined ? [] : [expr])),
    );
    const asked = [...expressions, ...templating.list.map(({ query }) => query.query)].join('\n');
    const names = asked.match(/\b(?:node|pod|container|kube|watchingcat)_[a-z0-9_]+/g) ?? [];
    expect(names.length).toBeGreaterThan(5);
    for (const name of names) expect(known, name).toContain(name);
    using folder = new TemporaryFolder();
    const file = join(folder.path, 'rules.yaml');
    const recorded = expressions.map((expr, index) => ({ record: `panel_${index}`, expr }));
    writeFileSync(file, stringify({ groups: [{ name: 'panels', rules: recorded }] }));
    expect((await runProgram(backendProgram('promtool'), ['check', 'rules', file])).stdout).toContain('SUCCESS');
  });
  it('uses the variables that it has, and panels stand beside each other', () => {
    const variables = new Set(templating.list.map(({ name }) => name));
    const used = JSON.stringify({ annotations, panels }).matchAll(/\$\{?([a-z]+)/g);
    for (const [, name] of used) expect(variables, name).toContain(name);
    const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_each, i) => `${x + (i % w)},${y + Math.floor(i / w)}`),
    );
    expect(new Set(cells).size).toBe(cells.length);
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    for (const { gridPos } of panels) expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24);
  });
});

it('each dashboard has its own uid and title, and is mounted', async () => {
  expect(new Set(dashboards.map(([, { uid }]) => uid)).size).toBe(dashboards.length);
  const mounted = Object.entries((await render('default')).get('ConfigMap', 'grafana-dashboards').data ?? {});
  expect(mounted.map(([, text]) => JSON.parse(text) as unknown)).toEqual(dashboards.map(([, dashboard]) => dashboard));
});

describe('data sources', () => {
  interface Source {
    readonly name: string;
    readonly uid: string;
    readonly url: string;
    readonly secureJsonData?: unknown;
  }
  const sources = (text: string): Source[] => (parse(text) as { datasources: Source[] }).datasources;

  it('are the stores, and those that dashboards ask', async () => {
    const given = sources((await render('default')).file('grafana', 'datasources.yaml'));
    expect(Object.fromEntries(given.map(({ name, url }) => [name, url]))).toEqual({
      Prometheus: 'http://prometheus.observability.svc.cluster.local:9090',
      Jaeger: 'http://jaeger.observability.svc.cluster.local:16686',
      Elasticsearch: 'http://elasticsearch.observability.svc.cluster.local:9200',
      'Kubernetes events': 'http://elasticsearch.observability.svc.cluster.local:9200',
    });
    const asked = dashboards.flatMap(([, { annotations, panels }]) =>
      [...(annotations?.list ?? []), ...panels.flatMap(({ targets }) => targets)].map(
        ({ datasource }) => datasource.uid,
      ),
    );
    expect(asked).toContain('events');
    const uids = given.map(({ uid }) => uid);
    for (const uid of asked) expect(uids).toContain(uid);
  });
  it('of external stores name their credentials and hold none', async () => {
    const text = (await render('external-stores')).file('watchingcat-grafana-datasources', 'watchingcat.yaml');
    expect(Object.fromEntries(sources(text).map(({ name, secureJsonData }) => [name, secureJsonData]))).toEqual({
      Prometheus: { basicAuthPassword: '$PROMETHEUS_PASSWORD' },
      Jaeger: { httpHeaderValue1: 'Bearer $JAEGER_BEARER_TOKEN' },
      Elasticsearch: { httpHeaderValue1: 'ApiKey $ELASTICSEARCH_API_KEY' },
      'Kubernetes events': { httpHeaderValue1: 'ApiKey $ELASTICSEARCH_API_KEY' },
    });
    // The bundled Grafana gets them from the same Secrets as the backend.
    const bundled = (await render('external-stores', ['--set', 'grafana.mode=bundled'])).environment('grafana');
    expect(bundled).toMatchObject({
      PROMETHEUS_PASSWORD: 'mimir-access/password',
      JAEGER_BEARER_TOKEN: 'jaeger-access/bearerToken',
    });
  });
  it('lead from logs and traces to each other, with dollar signs that Grafana does not take for its environment', async () => {
    const text = (await render('default')).file('grafana', 'datasources.yaml');
    expect(text).toContain('url: $${__value.raw}');
    expect(text.replaceAll('$$', '')).not.toContain('$');
  });
  it.each([
    'storage.jaeger.enabled=false',
    'storage.jaeger.mode=external,storage.jaeger.external.otlpEndpoint=http://a:4317,storage.jaeger.external.queryEndpoint=off',
  ])('lead to no traces with %s', async (set) => {
    const text = (await render('default', ['--set', set])).file('grafana', 'datasources.yaml');
    expect(sources(text).map(({ name }) => name)).toEqual(['Elasticsearch', 'Kubernetes events', 'Prometheus']);
    expect(text).not.toContain('jaeger');
  });
  it('further ones are added', async () => {
    const given = sources((await render('everything')).file('grafana', 'datasources.yaml'));
    expect(given.map(({ name }) => name)).toContain('Other');
  });
});
