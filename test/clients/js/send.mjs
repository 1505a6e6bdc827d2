// Sends what every client test sends, with the OpenTelemetry SDK for JavaScript, and prints what it sent.
// node send.mjs PROTOCOL ENDPOINT SERVICE COMPRESSION
//   PROTOCOL grpc, http/protobuf or http/json; ENDPOINT its base URL; COMPRESSION none or gzip
import { context, ROOT_CONTEXT, SeverityNumber, SpanStatusCode, trace } from '@opentelemetry/api';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BatchLogRecordProcessor, LoggerProvider } from '@opentelemetry/sdk-logs';
import {
  AggregationType,
  InstrumentType,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics';
import { BatchSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace';

const [protocol, endpoint, service, compression] = process.argv.slice(2);
const suffix = { grpc: 'grpc', 'http/protobuf': 'proto', 'http/json': 'http' }[protocol];
const { OTLPTraceExporter } = await import(`@opentelemetry/exporter-trace-otlp-${suffix}`);
const { OTLPMetricExporter } = await import(`@opentelemetry/exporter-metrics-otlp-${suffix}`);
const { OTLPLogExporter } = await import(`@opentelemetry/exporter-logs-otlp-${suffix}`);
const to = (signal) => ({ url: protocol === 'grpc' ? endpoint : `${endpoint}/v1/${signal}`, compression });

const resource = resourceFromAttributes({ 'service.name': service, 'service.version': '1.2.3' });
const attributes = {
  'client.text': 'grüße, 世界',
  'client.count': 42,
  'client.ratio': 0.25,
  'client.flag': true,
  'client.list': ['a', 'b'],
};
const failures = [];
const watched = (exporter) => {
  const send = exporter.export.bind(exporter);
  exporter.export = (items, done) =>
    send(items, (result) => {
      if (result.code !== 0) failures.push(String(result.error));
      done(result);
    });
  return exporter;
};

const traces = new TracerProvider({
  resource,
  spanProcessors: [new BatchSpanProcessor({ exporter: watched(new OTLPTraceExporter(to('traces'))) })],
});
const logs = new LoggerProvider({
  resource,
  processors: [new BatchLogRecordProcessor({ exporter: watched(new OTLPLogExporter(to('logs'))) })],
});
const metrics = new MeterProvider({
  resource,
  views: [
    {
      instrumentName: 'client.latency',
      instrumentType: InstrumentType.HISTOGRAM,
      aggregation: { type: AggregationType.EXPONENTIAL_HISTOGRAM },
    },
  ],
  readers: [
    new PeriodicExportingMetricReader({
      exporter: watched(new OTLPMetricExporter(to('metrics'))),
      exportIntervalMillis: 3_600_000,
      exportTimeoutMillis: 10_000,
    }),
  ],
});

const sent = { service, spans: [], logs: [] };
const tracer = traces.getTracer('client-test', '0.1.0');
const logger = logs.getLogger('client-test', '0.1.0');
for (let turn = 0; turn < 20; turn += 1) {
  const root = tracer.startSpan(`root ${turn}`, { attributes }, ROOT_CONTEXT);
  const inRoot = trace.setSpan(ROOT_CONTEXT, root);
  const child = tracer.startSpan(`child ${turn}`, { attributes, links: [{ context: root.spanContext() }] }, inRoot);
  child.addEvent('happened', { 'event.step': turn });
  child.setStatus({ code: SpanStatusCode.ERROR, message: 'declined' });
  const inChild = trace.setSpan(inRoot, child);
  const body = `client line ${turn} of ${service}`;
  context.with(inChild, () =>
    logger.emit({
      context: inChild,
      timestamp: Date.now(),
      severityNumber: SeverityNumber.WARN,
      severityText: 'WARN',
      body,
      attributes,
    }),
  );
  child.end();
  root.end();
  for (const span of [root, child]) {
    const { traceId, spanId } = span.spanContext();
    sent.spans.push({ traceId, spanId, name: span === root ? `root ${turn}` : `child ${turn}` });
  }
  sent.logs.push({ body, ...pick(child.spanContext()) });
}
const meter = metrics.getMeter('client-test', '0.1.0');
meter.createCounter('client.requests').add(7, { route: '/pay' });
meter.createUpDownCounter('client.open').add(3, { route: '/pay' });
meter.createGauge('client.temperature').record(21.5, { route: '/pay' });
meter.createHistogram('client.size', { unit: 'By' }).record(100, { route: '/pay' });
meter.createHistogram('client.latency', { unit: 's' }).record(0.25, { route: '/pay' });

await Promise.all([traces.forceFlush(), logs.forceFlush(), metrics.forceFlush()]);
await Promise.all([traces.shutdown(), logs.shutdown(), metrics.shutdown()]);
if (failures.length > 0) {
  console.error(failures.join('\n'));
  process.exit(1);
}
console.log(JSON.stringify(sent));

function pick({ traceId, spanId }) {
  return { traceId, spanId };
}
