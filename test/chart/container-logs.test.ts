import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { eventually } from '../kit/process.ts';
import { backendProgram, freePort, startProgram } from '../kit/program.ts';
import { render, TemporaryFolder } from './kit.ts';

// The agent's own configuration of `file_log`, run by a real Collector over files as the container runtimes write them.

type Line = readonly [stream: 'stdout' | 'stderr', text: string, isPiece?: true];

/** What a container wrote, line by line. Streams alternate within a record, and a runtime has cut one line in two. */
const lines: readonly Line[] = [
  ['stdout', 'one line'],
  ['stdout', '  '],
  ['stdout', '{"level":"info"}'],
  ['stderr', 'ERROR could not pay'],
  ['stdout', 'between'],
  ['stderr', 'java.lang.IllegalStateException: no money'],
  ['stderr', '\tat com.example.Pay.now(Pay.java:1)'],
  ['stderr', 'Caused by: java.io.IOException: x'],
  ['stderr', '\t... 3 more'],
  ['stdout', 'first half, ', true],
  ['stdout', 'second half'],
  ['stdout', 'Traceback (most recent call last):'],
  ['stdout', '  File "pay.py", line 1, in <module>'],
  ['stdout', 'ValueError: too little'],
  ['stdout', '{'],
  ['stdout', '  "pretty": 1'],
  ['stdout', '}'],
  ['stdout', 'the end'],
  ['stderr', 'the end'],
];
const records = {
  stdout: [
    'one line\n  ',
    '{"level":"info"}',
    'between',
    'first half, second half',
    'Traceback (most recent call last):\n  File "pay.py", line 1, in <module>\nValueError: too little',
    '{\n  "pretty": 1\n}',
    'the end',
  ],
  stderr: [
    'ERROR could not pay\njava.lang.IllegalStateException: no money\n\tat com.example.Pay.now(Pay.java:1)\nCaused by: java.io.IOException: x\n\t... 3 more',
    'the end',
  ],
};

const time = (index: number, zone: string): string => `2026-01-31T10:00:00.${String(index).padStart(9, '0')}${zone}`;
const cri = (zone: string): string =>
  lines
    .map(([stream, text, isPiece], i) => `${time(i, zone)} ${stream} ${isPiece === true ? 'P' : 'F'} ${text}\n`)
    .join('');
const runtimes = {
  containerd: cri('Z'),
  'CRI-O': cri('+00:00'),
  docker: lines
    .map(([stream, text, isPiece], i) => {
      const log = isPiece === true ? text : `${text}\n`;
      return `${JSON.stringify({ log, stream, time: time(i, 'Z') })}\n`;
    })
    .join(''),
};

interface Exported {
  readonly resourceLogs: readonly {
    readonly resource: { readonly attributes: readonly Attribute[] };
    readonly scopeLogs: readonly {
      readonly logRecords: readonly {
        body: { stringValue: string };
        attributes: readonly Attribute[];
        timeUnixNano: string;
      }[];
    }[];
  }[];
}
interface Attribute {
  readonly key: string;
  readonly value: { readonly stringValue: string };
}
const plain = (attributes: readonly Attribute[]): Record<string, string> =>
  Object.fromEntries(attributes.map(({ key, value }) => [key, value.stringValue]));

it.each(Object.entries(runtimes))(
  '%s: records of many lines are whole, and keep their pod, container and time',
  async (_, text) => {
    using folder = new TemporaryFolder();
    const uid = '7d0a9f0e-6c0a-4d3e-9f2b-111111111111';
    const pod = join(folder.path, `pods/shop_pay-0_${uid}/app`);
    mkdirSync(pod, { recursive: true });
    writeFileSync(join(pod, '2.log'), text);
    const out = join(folder.path, 'out.json');
    const health = `127.0.0.1:${await freePort()}`;
    await using _collector = await startProgram({
      command: backendProgram('otelcol'),
      args: ['--config', await configuration(folder.path, health, out)],
      logFile: join(folder.path, 'collector.log'),
      ready: async () => (await fetch(`http://${health}/`)).ok,
      env: { K8S_NODE_NAME: 'node1' },
    });
    const read = (): { stream: string; body: string; resource: Record<string, string>; timeUnixNano: string }[] =>
      (existsSync(out) ? readFileSync(out, 'utf8').split('\n') : []).filter(Boolean).flatMap((line) =>
        (JSON.parse(line) as Exported).resourceLogs.flatMap(({ resource, scopeLogs }) =>
          scopeLogs.flatMap(({ logRecords }) =>
            logRecords.map(({ body, attributes, timeUnixNano }) => {
              const { 'log.iostream': stream, ...others } = plain(attributes);
              expect(others).toEqual({});
              return {
                stream: stream ?? '',
                body: body.stringValue,
                resource: plain(resource.attributes),
                timeUnixNano,
              };
            }),
          ),
        ),
      );
    await eventually(
      async () => read().filter(({ body }) => body === 'the end').length,
      (ended) => ended === 2,
    );
    for (const stream of ['stdout', 'stderr'] as const) {
      expect(
        read()
          .filter((record) => record.stream === stream)
          .map(({ body }) => body),
      ).toEqual(records[stream]);
    }
    for (const { resource } of read()) {
      expect(resource).toMatchObject({
        'k8s.namespace.name': 'shop',
        'k8s.pod.name': 'pay-0',
        'k8s.pod.uid': uid,
        'k8s.container.name': 'app',
        'k8s.container.restart_count': '2',
        'k8s.node.name': 'node1',
      });
    }
    expect(read().find(({ body }) => body.startsWith('ERROR'))?.timeUnixNano).toBe(
      String(BigInt(Date.parse('2026-01-31T10:00:00Z')) * 1_000_000n + 3n),
    );
  },
);

/** The agent's configuration, its container logs alone, with the paths of this machine and a file at its end. */
async function configuration(folder: string, health: string, out: string): Promise<string> {
  const config = parse((await render('default')).file('watchingcat-otel-agent', 'config.yaml'));
  const storage = join(folder, 'storage');
  const path = join(folder, 'collector.yaml');
  const { file_log, ...others } = config.receivers;
  expect(Object.keys(others)).toContain('otlp');
  const alone = {
    extensions: {
      health_check: { endpoint: health },
      file_storage: { ...config.extensions.file_storage, directory: storage, compaction: {} },
    },
    receivers: { file_log: { ...file_log, include: [join(folder, 'pods/*/*/*.log')], exclude_older_than: '0s' } },
    processors: config.processors,
    exporters: { file: { path: out } },
    service: {
      extensions: config.service.extensions,
      telemetry: { metrics: { level: 'none' }, logs: { level: 'warn' } },
      pipelines: { logs: { ...config.service.pipelines['logs/containers'], exporters: ['file'] } },
    },
  };
  writeFileSync(path, stringify(alone));
  return path;
}
