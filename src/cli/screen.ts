import { type Config, formatDurationMs, formatSizeBytes } from '../config/index.ts';
import type { Paint } from './terminal.ts';

/** Where the listeners are, each `host:port` as a client writes it. */
export interface Addresses {
  readonly otlpGrpc: string;
  readonly otlpHttp: string;
  readonly http: string;
}

/**
 * What a person sees who has started the process on a terminal: at most 12 lines, the next step among them.
 * @param ids Trace and span id of the line to paste, so that it is a span of its own each time.
 */
export function startScreen(
  started: { version: string; addresses: Addresses; config: Config; ids: { traceId: string; spanId: string } },
  paint: Paint,
): string[] {
  const { version, addresses, config } = started;
  const row = (label: string, text: string) => `  ${paint('dim', label.padEnd(8))}${text}`;
  const { traces, metrics, logs } = config.retentionMs;
  const kept =
    config.embedded.size === 0
      ? 'nothing is kept: what arrives is forwarded'
      : `keeps traces ${formatDurationMs(traces)}, metrics ${formatDurationMs(metrics)}, logs ${formatDurationMs(logs)}`;
  // Readers ask this address by themselves.
  const elsewhere = addresses.http === '127.0.0.1:8090' ? '' : ` --endpoint http://${addresses.http}`;
  return [
    `${paint('bold', 'WatchingCat')} ${version}`,
    row('REST', `http://${addresses.http}  ${paint('dim', '(every route: /docs)')}`),
    row('OTLP', `gRPC ${addresses.otlpGrpc}, HTTP http://${addresses.otlpHttp}`),
    row('data', `${config.dataDir} (${kept}; write-ahead log at most ${formatSizeBytes(config.walMaxBytes)} a signal)`),
    ...(config.forward === undefined ? [] : [row('forward', config.forward.endpoint)]),
    row('try', `npx watchingcat demo${elsewhere}   ${paint('dim', 'or paste a first span:')}`),
    paint('cyan', firstSpanLine(addresses, started.ids)),
    row('stop', 'Ctrl-C; what was acknowledged is on disk'),
  ];
}

/** A line for a shell that sends one span, now. */
export function firstSpanLine(addresses: Addresses, ids: { traceId: string; spanId: string }): string {
  const time = (fraction: string) => `'$(date +%s)'${fraction}`;
  const span = [
    `"traceId":"${ids.traceId}","spanId":"${ids.spanId}","name":"first span","kind":2`,
    `"startTimeUnixNano":"${time('000000000')}","endTimeUnixNano":"${time('250000000')}"`,
  ].join(',');
  const resource = '"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"hello"}}]}';
  return (
    `curl -i http://${addresses.otlpHttp}/v1/traces -H 'content-type: application/json' ` +
    `-d '{"resourceSpans":[{${resource},"scopeSpans":[{"spans":[{${span}}]}]}]}'`
  );
}
