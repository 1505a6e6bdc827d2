// Charges amounts up to 90. Sends traces by OTLP; its metrics are scraped, its log lines go to stdout with the trace's id.
const http = require('node:http');
const { metrics, trace } = require('@opentelemetry/api');

const payments = metrics.getMeter('payment').createCounter('shop.payments', { description: 'Payments, by outcome.' });

http
  .createServer((request, response) => {
    if (request.url === '/healthz') return response.end('ok\n');
    const amount = Number(new URL(request.url, 'http://payment').searchParams.get('amount'));
    const outcome = amount <= 90 ? 'charged' : 'declined';
    payments.add(1, { outcome });
    const { traceId, spanId } = trace.getActiveSpan()?.spanContext() ?? {};
    const level = outcome === 'charged' ? 'info' : 'warn';
    console.log(JSON.stringify({ level, message: `payment ${outcome}`, amount, trace_id: traceId, span_id: spanId }));
    response.writeHead(outcome === 'charged' ? 200 : 402).end(`${outcome}\n`);
  })
  .listen(Number(process.env.PORT ?? 8081));
