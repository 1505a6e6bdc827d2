// Takes orders and asks `payment` to charge them. Sends traces, metrics and logs by OTLP. Its one customer is itself.
const http = require('node:http');
const { logs, metrics, SeverityNumber } = require('@opentelemetry/api');

const paymentUrl = process.env.PAYMENT_URL ?? 'http://localhost:8081';
const port = Number(process.env.PORT ?? 8080);
const log = logs.getLogger('storefront');
const orders = metrics.getMeter('storefront').createCounter('shop.orders', { description: 'Orders, by outcome.' });

const server = http.createServer(async (request, response) => {
  if (request.url === '/healthz') return response.end('ok\n');
  const amount = new URL(request.url, 'http://storefront').searchParams.get('amount') ?? '10';
  let status;
  try {
    status = await get(`${paymentUrl}/charge?amount=${encodeURIComponent(amount)}`);
  } catch (error) {
    status = 503;
    log.emit({
      severityNumber: SeverityNumber.ERROR,
      severityText: 'ERROR',
      body: `payment is away: ${error.message}`,
    });
  }
  const outcome = status === 200 ? 'sold' : 'failed';
  orders.add(1, { outcome });
  // Emitted within the request, so the record carries its trace and span.
  log.emit({
    severityNumber: status === 200 ? SeverityNumber.INFO : SeverityNumber.WARN,
    severityText: status === 200 ? 'INFO' : 'WARN',
    body: status === 200 ? 'order placed' : 'order not placed',
    attributes: { 'shop.order.amount': Number(amount) },
  });
  response.writeHead(status === 200 ? 200 : 502).end(`${outcome}\n`);
});
server.listen(port, () => setInterval(buy, 1000));

function buy() {
  const amount = Math.ceil(Math.random() * 100);
  get(`http://localhost:${port}/checkout?amount=${amount}`).catch(() => {});
}

/** Status of the answer to a GET. */
function get(url) {
  return new Promise((resolve, reject) => {
    http.get(url, (answer) => answer.resume().on('end', () => resolve(answer.statusCode))).on('error', reject);
  });
}
