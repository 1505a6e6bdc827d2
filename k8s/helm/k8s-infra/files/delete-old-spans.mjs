// Deletes the daily indices that Jaeger wrote to Elasticsearch and whose retention is over: Jaeger itself deletes nothing, and a
// volume that is full takes no logs either. Runs once a day, in the backend's image; prints one line for each index that goes.
const {
  ELASTICSEARCH_URL: url = '',
  INDEX_PREFIX: prefix = '',
  RETENTION: retention = '',
  ES_USERNAME: username,
  ES_PASSWORD: password,
  ES_BEARER_TOKEN: token,
  ES_API_KEY: apiKey,
} = process.env;
// As the backend reads its own retention: 7d, 2w, 1d12h.
const unitMs = { w: 604_800_000, d: 86_400_000, h: 3_600_000, m: 60_000, s: 1000, ms: 1 };
let retentionMs = 0;
if (/^(\d+(\.\d+)?(ms|[smhdw]))+$/.test(retention)) {
  for (const [, count, unit] of retention.matchAll(/(\d+(?:\.\d+)?)(ms|[smhdw])/g)) retentionMs += Number(count) * unitMs[unit];
}
if (retentionMs === 0) throw new Error(`RETENTION: expected a duration such as 7d, not ${retention}`);
const before = Date.now() - retentionMs;

let authorization;
if (username !== undefined) authorization = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
else if (token !== undefined) authorization = `Bearer ${token}`;
else if (apiKey !== undefined) authorization = `ApiKey ${apiKey}`;
const headers = authorization === undefined ? {} : { authorization };

/** @throws Error with status and text of an answer that is none of success, nor of an index that is no longer there. */
async function ask(method, path) {
  const response = await fetch(`${url.replace(/\/$/, '')}/${path}`, { method, headers });
  const text = await response.text();
  if (method === 'DELETE' && response.status === 404) return undefined;
  if (!response.ok) throw new Error(`${method} /${path}: HTTP ${response.status} ${text.slice(0, 300)}`);
  return JSON.parse(text);
}

const start = `${prefix}${prefix === '' ? '' : '-'}jaeger-`;
const names = (await ask('GET', `_cat/indices/${start}*?format=json&h=index`)).map(({ index }) => index);
for (const name of names.sort()) {
  const day = /^(?:span|service|dependencies|sampling)-(\d{4}-\d{2}-\d{2})$/.exec(name.slice(start.length))?.[1];
  // What is not named as Jaeger names it is not ours to delete. A day is over at its end.
  if (day === undefined || !(Date.parse(day) + unitMs.d < before)) continue;
  // What somebody else has deleted meanwhile, or this in an attempt whose answer was lost, is done.
  if ((await ask('DELETE', name)) !== undefined) console.log(`deleted ${name}`);
}
