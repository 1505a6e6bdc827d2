import type { Random } from './random.ts';
import type { Pod, ServiceName } from './shop.ts';
import { buildJourney, type Journey, type Step } from './trace-builder.ts';

// What visitors do, and what goes wrong: fraud-check is slow, cards are declined, and now and then the card issuer is away.

export type Pods = { readonly [S in ServiceName]: readonly [Pod, Pod] };
/** How the shop is doing. */
export interface Weather {
  /** fraud-check runs out of memory: it takes seconds, and sometimes does not answer at all. */
  readonly fraudCheckIsSick: boolean;
}

const products = ['espresso-machine', 'cat-tree', 'desk-lamp', 'wool-blanket', 'teapot', 'bicycle-bell'] as const;
const currencies = ['EUR', 'USD', 'GBP'] as const;
const browsers = [
  'Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0',
  'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Safari/605.1.15',
  'Mozilla/5.0 (iPhone; CPU iPhone OS 26_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148',
] as const;

/** One visit, from the first click to the answer. */
export function visit(random: Random, pods: Pods, startUnixNano: bigint, weather: Weather): Journey {
  const on = (service: ServiceName): Pod => random.pick(pods[service]);
  const client = {
    'client.address': `203.0.113.${1 + Math.floor(random.next() * 250)}`,
    'user_agent.original': random.pick(browsers),
    'session.id': random.hex(8),
  };
  const kind = random.next();
  return buildJourney(random, startUnixNano, on('storefront'), (shop) => {
    if (kind < 0.45) {
      shop.serve('GET', '/', '/', client, (step) => listProducts(step, on('catalog'), random));
    } else if (kind < 0.65) {
      const product = random.pick(products);
      shop.serve('GET', '/products/{id}', `/products/${product}`, client, (step) =>
        showProduct(step, on('catalog'), product, random),
      );
    } else if (kind < 0.8) {
      shop.serve('POST', '/cart', '/cart', client, (step) => addToCart(step, on('cart'), random));
    } else {
      shop.serve('POST', '/checkout', '/checkout', client, (step) => checkOut(step, on, random, weather));
    }
  });
}

function listProducts(step: Step, catalog: Pod, random: Random): number {
  return step.call(catalog, 'GET', '/products', '/products', (inner) => {
    if (random.chance(0.8)) {
      inner.step({ name: 'cache.get products', kind: 'internal', values: { 'cache.hit': true } }, (cache) =>
        cache.spend(random.latencyMs(0.2)),
      );
    } else {
      inner.log('INFO', 'products are not in the cache, reading them from the database');
      database(
        inner,
        'SELECT',
        'products',
        'SELECT id, name, price FROM products WHERE listed ORDER BY rank LIMIT $1',
        random.latencyMs(14),
        random,
      );
    }
    return 200;
  });
}

function showProduct(step: Step, catalog: Pod, product: string, random: Random): number {
  return step.call(catalog, 'GET', '/products/{id}', `/products/${product}`, (inner) => {
    inner.set({ 'product.id': product });
    // A link that somebody kept for too long.
    if (random.chance(0.03)) {
      inner.log('WARN', `product ${product} is not sold any more`, { 'product.id': product });
      return 404;
    }
    database(inner, 'SELECT', 'products', 'SELECT * FROM products WHERE id = $1', random.latencyMs(4), random);
    database(inner, 'SELECT', 'stock', 'SELECT quantity FROM stock WHERE product_id = $1', random.latencyMs(3), random);
    return 200;
  });
}

function addToCart(step: Step, cart: Pod, random: Random): number {
  const quantity = 1 + Math.floor(random.next() * 3);
  return step.call(cart, 'POST', '/carts/{id}/items', `/carts/${random.hex(4)}/items`, (inner) => {
    inner.set({ 'cart.quantity': quantity });
    redis(inner, 'HSET', random);
    inner.log('INFO', `added ${quantity} of ${random.pick(products)} to the cart`, { 'cart.quantity': quantity });
    return 201;
  });
}

function checkOut(step: Step, on: (service: ServiceName) => Pod, random: Random, weather: Weather): number {
  const order = `order-${random.hex(4)}`;
  const amount = Math.round((5 + 200 * random.next()) * 100) / 100;
  const currency = random.pick(currencies);
  const money = { 'order.id': order, 'payment.amount': amount, 'payment.currency': currency };
  return step.call(on('checkout'), 'POST', '/orders', '/orders', (checkout) => {
    checkout.set(money);
    checkout.log('INFO', `placing ${order}: ${amount} ${currency}`, money);
    checkout.call(on('cart'), 'GET', '/carts/{id}', `/carts/${random.hex(4)}`, (cart) => {
      redis(cart, 'HGETALL', random);
      return 200;
    });
    const paid = checkout.call(on('payment'), 'POST', '/charges', '/charges', (payment) =>
      charge(payment, on('fraud-check'), money, random, weather),
    );
    if (paid === 402) return 402;
    if (paid >= 500) {
      checkout.log('ERROR', `${order} failed: payment answered ${paid}`, {
        ...money,
        'http.response.status_code': paid,
      });
      checkout.fail(`payment answered ${paid}`, 'Shop.PaymentUnavailableException');
      return 502;
    }
    const topic = {
      'messaging.system': 'kafka',
      'messaging.destination.name': 'orders',
      'messaging.operation.type': 'send',
    };
    checkout.step({ name: 'send orders', kind: 'producer', values: topic }, (send) => send.spend(random.latencyMs(2)));
    checkout.log('INFO', `${order} is placed`, money);
    return 201;
  });
}

function charge(
  payment: Step,
  fraudCheck: Pod,
  money: { [key: string]: string | number },
  random: Random,
  weather: Weather,
): number {
  payment.set(money);
  const score = payment.call(fraudCheck, 'POST', '/score', '/score', (fraud) => {
    // The slow dependency: it scores every order with a model, and sometimes one has to be loaded first.
    const isCold = random.chance(0.12);
    const typical = weather.fraudCheckIsSick ? 1900 : isCold ? 850 : 95;
    fraud.step(
      { name: 'score order', kind: 'internal', values: { 'model.name': 'gradient-boost-12', 'model.cold': isCold } },
      (model) => model.spend(random.latencyMs(typical)),
    );
    if (weather.fraudCheckIsSick && random.chance(0.4)) {
      fraud.log('ERROR', 'cannot load the model: out of memory', {
        'error.type': 'MemoryError',
        'order.id': money['order.id'] ?? '',
      });
      fraud.fail('cannot load the model: out of memory', 'MemoryError');
      return 503;
    }
    if (isCold) fraud.log('WARN', 'the model was not in memory, scoring took longer than 500 ms');
    return 200;
  });
  if (score >= 500) {
    payment.log('ERROR', `payment declined: fraud-check answered ${score}, the order cannot be scored`, money);
    payment.fail(`fraud-check answered ${score}`, 'com.shop.payment.ScoringException');
    return 503;
  }
  const issuer = random.next();
  const values = {
    'http.request.method': 'POST',
    'url.full': 'https://issuer.example/v3/authorize',
    'server.address': 'issuer.example',
    'server.port': 443,
  };
  return payment.step({ name: 'POST', kind: 'client', values }, (call) => {
    if (issuer < 0.04) {
      call.spend(2000);
      call.set({ 'error.type': 'timeout' });
      call.fail('no answer within 2 s', 'java.net.http.HttpTimeoutException');
      payment.log('ERROR', 'payment declined: the card issuer did not answer within 2 s', money);
      payment.fail('the card issuer did not answer', 'com.shop.payment.IssuerTimeoutException');
      return 504;
    }
    call.spend(random.latencyMs(130));
    call.set({ 'http.response.status_code': 200 });
    if (issuer < 0.13) {
      const reason = random.pick(['insufficient funds', 'the card has expired', 'the card was reported stolen']);
      payment.log('WARN', `payment declined: ${reason}`, { ...money, 'payment.decline_reason': reason });
      return 402;
    }
    payment.log('INFO', `payment accepted: ${money['payment.amount']} ${money['payment.currency']}`, money);
    return 201;
  });
}

function database(step: Step, operation: string, table: string, text: string, ms: number, random: Random): void {
  const values = {
    'db.system.name': 'postgresql',
    'db.namespace': 'catalog',
    'db.operation.name': operation,
    'db.collection.name': table,
    'db.query.text': text,
    'server.address': 'postgresql.shop.svc',
    'server.port': 5432,
  };
  step.step({ name: `${operation} ${table}`, kind: 'client', values }, (query) => {
    query.spend(ms);
    query.set({ 'db.response.returned_rows': 1 + Math.floor(random.next() * 20) });
  });
}

function redis(step: Step, operation: string, random: Random): void {
  const values = {
    'db.system.name': 'redis',
    'db.operation.name': operation,
    'server.address': 'redis.shop.svc',
    'server.port': 6379,
  };
  step.step({ name: operation, kind: 'client', values }, (query) => query.spend(random.latencyMs(0.8)));
}
