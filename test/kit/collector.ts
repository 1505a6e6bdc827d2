import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { answers, backendProgram, freePort, type RunningProgram, startProgram } from './program.ts';

/** The pipeline of a Collector under test or measurement, as parts of its configuration. */
export interface CollectorOptions {
  /** Folder for its configuration, its log and what its extensions store. */
  readonly folder: string;
  /** YAML of the mapping `exporters`, flow style. */
  readonly exporters: string;
  /** Signal → names of its exporters. */
  readonly pipelines: Readonly<Record<string, readonly string[]>>;
  /** YAML of the processors of all pipelines, one a line, each `name: {…}`. */
  readonly processors?: readonly string[];
  /** YAML of further extensions, one a line, each `name: {…}`. */
  readonly extensions?: readonly string[];
}

export interface Collector extends RunningProgram {
  /** host:port of its OTLP receiver. */
  readonly grpc: string;
  readonly http: string;
}

/** Starts an OpenTelemetry Collector: OTLP in over both protocols, the given processors and exporters. */
export async function startCollector(options: CollectorOptions): Promise<Collector> {
  mkdirSync(options.folder, { recursive: true });
  const [grpcPort, httpPort, healthPort] = [await freePort(), await freePort(), await freePort()];
  const extensions = [`health_check: {endpoint: "127.0.0.1:${healthPort}"}`, ...(options.extensions ?? [])];
  const processors = options.processors ?? [];
  const names = (lines: readonly string[]) => lines.map((line) => line.slice(0, line.indexOf(':'))).join(', ');
  const config = join(options.folder, 'collector.yaml');
  writeFileSync(
    config,
    `extensions:
${extensions.map((line) => `  ${line}\n`).join('')}receivers:
  otlp:
    protocols:
      grpc: {endpoint: "127.0.0.1:${grpcPort}", max_recv_msg_size_mib: 64}
      http: {endpoint: "127.0.0.1:${httpPort}", max_request_body_size: 67108864}
processors:
${processors.map((line) => `  ${line}\n`).join('')}exporters: ${options.exporters}
service:
  extensions: [${names(extensions)}]
  telemetry: {metrics: {level: none}, logs: {level: warn}}
  pipelines:
${Object.entries(options.pipelines)
  .map(
    ([signal, exporters]) =>
      `    ${signal}: {receivers: [otlp], processors: [${names(processors)}], exporters: [${exporters.join(', ')}]}\n`,
  )
  .join('')}`,
  );
  const program = await startProgram({
    command: backendProgram('otelcol'),
    args: ['--config', config],
    logFile: join(options.folder, 'collector.log'),
    ready: () => answers(`http://127.0.0.1:${healthPort}/`),
  });
  return { ...program, grpc: `127.0.0.1:${grpcPort}`, http: `127.0.0.1:${httpPort}` };
}
