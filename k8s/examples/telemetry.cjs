// Loaded before the service (`node --require ./telemetry.cjs`). Where telemetry goes, and by which protocol, is said by the
// variables OTEL_* of the manifest, not here.
const { HttpInstrumentation } = require('@opentelemetry/instrumentation-http');
const { NodeSDK } = require('@opentelemetry/sdk-node');

const sdk = new NodeSDK({
  // A span for each request in and out, and the header `traceparent` between them. Probes are nobody's requests.
  instrumentations: [new HttpInstrumentation({ ignoreIncomingRequestHook: ({ url }) => url === '/healthz' })],
});
sdk.start();

// What is still in memory is sent before the process ends.
process.once('SIGTERM', () => sdk.shutdown().finally(() => process.exit(0)));
