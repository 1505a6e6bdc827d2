import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { runs } from '../../../test/kit/runs.ts';
import { plainAttributes } from '../../otlp/index.ts';
import type { Json } from '../contract.ts';
import type { Field, Filter, Literal } from '../filter.ts';
import type { EmbeddedStore } from './index.ts';
import {
  type Attributes,
  day,
  folderOfOwn,
  frame,
  type LogGiven,
  logBytes,
  never,
  noon,
  openStore,
  request,
  spanBytes,
  write,
} from './kit.ts';

// The same filters over hot rows, files and a plain evaluation of what filter.ts says.

const text = (value: string): Literal => ({ text: value, number: undefined, durationNanos: undefined });
const number = (value: number): Literal => ({ text: String(value), number: value, durationNanos: undefined });
const duration = (nanos: bigint): Literal => ({ text: `${nanos}ns`, number: undefined, durationNanos: nanos });
const any = (key: string): Field => ({ scope: 'any', key });
const own = (key: string): Field => ({ scope: 'record', key });
const ofResource = (key: string): Field => ({ scope: 'resource', key });
const is = (field: Field, op: '=' | '!=' | '>' | '>=' | '<' | '<=', value: Literal): Filter => ({
  kind: 'compare',
  field,
  op,
  value,
});
const intrinsic = (name: (Field & { scope: 'intrinsic' })['name']): Field => ({ scope: 'intrinsic', name });

interface Given {
  readonly resource: Attributes;
  readonly log: LogGiven & { body: string };
}

const resources: Attributes[] = [
  { 'service.name': 'cart', both: 'resource', pod: 'cart-1', port: 80n },
  { 'service.name': 'pay', pod: 'pay-1', tags: ['x', 'y'] },
];
const levels = [0, 1, 8, 9, 12, 13, 17, 20, 21, 24];
const records: Given[] = Array.from({ length: 60 }, (_, n) => ({
  resource: resources[n % 2]!,
  log: {
    time: noon + BigInt(n),
    severity: levels[n % levels.length]!,
    body: ['Payment DECLINED', 'all is well', 'ünïcode Straße', '', 'a "quoted" % _ \\'][n % 5]!,
    attributes: {
      n: BigInt(n % 10),
      ...(n % 3 === 0 ? { both: 'record' } : {}),
      ...(n % 4 === 0
        ? { mixed: BigInt(n) }
        : n % 4 === 1
          ? { mixed: String(n) }
          : n % 4 === 2
            ? { mixed: n + 0.5 }
            : { mixed: [BigInt(n), 'x', n % 8 === 3] }),
      ...(n % 5 === 0 ? { flag: n % 2 === 0 } : {}),
      ...(n % 7 === 0 ? { rare: `r${n}`, nothing: undefined } : {}),
      'odd/key~"1"': n % 2 === 0 ? 'x' : '200',
      code: n % 6 === 0 ? 500n : n % 6 === 1 ? '200' : 200n,
    },
    ...(n % 9 === 0
      ? { traceId: 'abcdef0123456789abcdef0123456789', spanId: 'ABCDEF0123456789', eventName: 'evt' }
      : {}),
  },
}));

// ---------------------------------------------------------------------------------------------- the plain evaluation

function textOf(value: Json | undefined): string | undefined {
  if (value === undefined || value === null) return undefined;
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function numberOf(value: Json | undefined): number | undefined {
  if (typeof value === 'number') return value;
  if (typeof value === 'string' && /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(value)) return Number(value);
  return undefined;
}

function equals(value: Json | undefined, literal: Literal): boolean {
  if (Array.isArray(value) && value.some((item) => equals(item, literal))) return true;
  if (Array.isArray(value)) return false;
  if (textOf(value) === literal.text) return true;
  return typeof value === 'number' && literal.number !== undefined && value === literal.number;
}

const names = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'];
function severityOf(level: number): string {
  return level >= 1 && level <= 24 ? names[Math.floor((level - 1) / 4)]! : 'unset';
}

function evaluate(filter: Filter, { resource, log }: Given): boolean {
  const bytes = logBytes(log);
  const attributes = plainAttributes(bytes, 0, bytes.length, 6);
  const resourceBytes = logBytes({ attributes: resource });
  const resourceAttributes = plainAttributes(resourceBytes, 0, resourceBytes.length, 6);
  const lookUp = (field: Field): { has: boolean; value: Json | undefined } => {
    if (field.scope === 'intrinsic') {
      switch (field.name) {
        case 'service':
          return { has: true, value: resource['service.name'] as string };
        case 'body':
          return { has: true, value: log.body };
        case 'trace_id':
          return { has: log.traceId !== undefined, value: log.traceId?.toLowerCase() };
        case 'span_id':
          return { has: log.spanId !== undefined, value: log.spanId?.toLowerCase() };
        case 'name':
          return { has: log.eventName !== undefined, value: log.eventName };
        case 'severity':
          return { has: log.severity !== 0, value: severityOf(log.severity!) };
        default:
          return { has: false, value: undefined };
      }
    }
    if (field.scope !== 'resource' && Object.hasOwn(attributes, field.key))
      return { has: true, value: attributes[field.key] };
    if (field.scope !== 'record' && Object.hasOwn(resourceAttributes, field.key))
      return { has: true, value: resourceAttributes[field.key] };
    return { has: false, value: undefined };
  };
  const compare = (field: Field, op: '=' | '>' | '>=' | '<' | '<=', literal: Literal): boolean => {
    const order = (a: number, b: number) =>
      op === '>' ? a > b : op === '>=' ? a >= b : op === '<' ? a < b : op === '<=' ? a <= b : a === b;
    if (field.scope === 'intrinsic' && field.name === 'severity') {
      const level = log.severity!;
      const at = names.indexOf(literal.text.toLowerCase());
      if (at < 0) return literal.number !== undefined && order(level, literal.number);
      const first = at * 4 + 1;
      return op === '='
        ? level >= first && level <= first + 3
        : order(level, op === '>' || op === '<=' ? first + 3 : first);
    }
    const { value } = lookUp(field);
    if (op === '=')
      return field.scope === 'intrinsic' && field.name.endsWith('_id')
        ? value === literal.text.toLowerCase()
        : equals(value, literal);
    const left = numberOf(value);
    return left !== undefined && literal.number !== undefined && order(left, literal.number);
  };
  switch (filter.kind) {
    case 'all':
      return true;
    case 'and':
      return filter.of.every((each) => evaluate(each, { resource, log }));
    case 'or':
      return filter.of.some((each) => evaluate(each, { resource, log }));
    case 'not':
      return !evaluate(filter.of, { resource, log });
    case 'text':
      return log.body.toLowerCase().includes(filter.text.toLowerCase());
    case 'compare':
      return filter.op === '!='
        ? !compare(filter.field, '=', filter.value)
        : compare(filter.field, filter.op, filter.value);
    case 'in':
      return filter.values.some((value) => compare(filter.field, '=', value));
    case 'regex': {
      const value = textOf(lookUp(filter.field).value);
      return value !== undefined && new RegExp(filter.pattern).test(value);
    }
    case 'exists':
      return lookUp(filter.field).has;
  }
}

// ---------------------------------------------------------------------------------------------- over the store

async function fill(store: EmbeddedStore): Promise<void> {
  for (const [seq, resource] of resources.entries()) {
    const logs = records.filter((each) => each.resource === resource).map(({ log }) => logBytes(log));
    await write(store, 'logs', [frame(seq + 1, request(resource, logs), logs.length)]);
  }
}

async function found(store: EmbeddedStore, filter: Filter): Promise<number[]> {
  const page = await store.readers.logs!.search(
    { range: day, filter, order: 'asc', limit: 1000, cursor: undefined },
    never,
  );
  expect(page).toMatchObject({ incomplete: false, warnings: [] });
  return page.items.map(({ timeUnixNano }) => Number(timeUnixNano - noon));
}

function expected(filter: Filter): number[] {
  return records.flatMap((given, n) => (evaluate(filter, given) ? [n] : []));
}

/** Three stores with the same records: hot; rolled; and rolled twice, so that the second half has columns of its own. */
async function stores(): Promise<{ all: EmbeddedStore[] } & AsyncDisposable> {
  const stack = new AsyncDisposableStack();
  const all: EmbeddedStore[] = [];
  for (const state of ['hot', 'rolled', 'promoted']) {
    const folder = stack.use(await folderOfOwn());
    const store = stack.use(await openStore(folder.path));
    if (state === 'promoted') {
      // A generation that teaches which attributes are frequent, out of the range that is asked.
      const teach = records.map(({ log }) => logBytes({ ...log, time: noon - 3n * 24n * 3_600_000_000_000n }));
      await write(store, 'logs', [frame(100, request(resources[0]!, teach), teach.length)], 'ef'.repeat(16));
      await store.rollAll();
    }
    await fill(store);
    if (state !== 'hot') await store.rollAll();
    all.push(store);
  }
  return { all, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

describe('a filter finds what its description says, hot, in files, and in columns', async () => {
  const rows: [string, Filter][] = [
    ['all', { kind: 'all' }],
    ['text, whatever its case', { kind: 'text', text: 'declined' }],
    ['text, not ASCII', { kind: 'text', text: 'ÜNÏCODE' }],
    ['text with wildcards is literal', { kind: 'text', text: '% _ \\' }],
    ['text that would be SQL', { kind: 'text', text: "'; COPY (SELECT 1) TO '/tmp/x' --" }],
    ['int =', is(any('n'), '=', number(3))],
    ['int = as text', is(any('n'), '=', text('3'))],
    ['int = another form of the number', is(any('n'), '=', { text: '3.0', number: 3, durationNanos: undefined })],
    ['int !=', is(any('n'), '!=', number(3))],
    ['int = no integer', is(any('n'), '=', number(3.5))],
    ['int >=', is(any('n'), '>=', number(7.5))],
    ['a number is not less than text', is(any('n'), '<', text('9'))],
    ['numeric text = number', is(any('code'), '=', number(200))],
    ['numeric text >=', is(any('code'), '>=', number(200))],
    ['mixed =', is(any('mixed'), '=', number(4))],
    ['mixed = double', is(any('mixed'), '=', number(6.5))],
    ['an element of a list', is(any('mixed'), '=', text('x'))],
    ['an element of a list, a number', is(any('mixed'), '=', number(7))],
    ['an element of a list, a boolean', is(any('mixed'), '=', text('true'))],
    ['mixed >', is(any('mixed'), '>', number(40))],
    ['boolean', is(any('flag'), '=', text('true'))],
    ['!= where it is absent', is(any('flag'), '!=', text('true'))],
    ['record before resource', is(any('both'), '=', text('record'))],
    ['resource where the record has none', is(any('both'), '=', text('resource'))],
    ['resource only', is(ofResource('both'), '=', text('resource'))],
    ['record only', is(own('both'), '=', text('resource'))],
    ['an element of a resource list', is(any('tags'), '=', text('y'))],
    ['resource number', is(ofResource('port'), '<', number(81))],
    ['exists', { kind: 'exists', field: any('rare') }],
    ['exists though it is empty', { kind: 'exists', field: any('nothing') }],
    ['exists on a resource', { kind: 'exists', field: any('pod') }],
    ['exists nowhere', { kind: 'exists', field: any('nowhere') }],
    ['not exists', { kind: 'not', of: { kind: 'exists', field: any('rare') } }],
    ['regex', { kind: 'regex', field: any('rare'), pattern: '^r[23]' }],
    ['regex on numbers', { kind: 'regex', field: any('code'), pattern: '^5..$' }],
    ['regex on a resource', { kind: 'regex', field: any('pod'), pattern: 'cart-\\d' }],
    ['in', { kind: 'in', field: any('n'), values: [number(1), text('2'), text('x')] }],
    ['in nothing', { kind: 'in', field: any('n'), values: [] }],
    ['a key with every separator', is(any('odd/key~"1"'), '=', text('x'))],
    ['a key that would be SQL', is(any("'); DROP TABLE logs_1; --"), '=', text('x'))],
    ['a value that would be SQL', is(any('rare'), '=', text("' OR 1=1 --"))],
    ['a file as a value', is(any('rare'), '=', text("read_csv('/etc/passwd')"))],
    ['service', is(intrinsic('service'), '=', text('pay'))],
    ['service !=', is(intrinsic('service'), '!=', text('pay'))],
    ['severity by name', is(intrinsic('severity'), '=', text('ERROR'))],
    ['severity from a name on', is(intrinsic('severity'), '>=', text('warn'))],
    ['severity above a name', is(intrinsic('severity'), '>', text('info'))],
    ['severity up to a name', is(intrinsic('severity'), '<=', text('info'))],
    ['severity by number', is(intrinsic('severity'), '=', number(9))],
    ['severity exists', { kind: 'exists', field: intrinsic('severity') }],
    ['severity in', { kind: 'in', field: intrinsic('severity'), values: [text('fatal'), text('debug')] }],
    ['trace id', is(intrinsic('trace_id'), '=', text('ABCDEF0123456789abcdef0123456789'))],
    ['trace id, not one', is(intrinsic('trace_id'), '=', text("' OR ''='"))],
    ['trace id !=', is(intrinsic('trace_id'), '!=', text('abcdef0123456789abcdef0123456789'))],
    ['trace id regex', { kind: 'regex', field: intrinsic('trace_id'), pattern: '^abcdef' }],
    ['span id', is(intrinsic('span_id'), '=', text('abcdef0123456789'))],
    ['span id exists', { kind: 'exists', field: intrinsic('span_id') }],
    ['event name', is(intrinsic('name'), '=', text('evt'))],
    ['body', is(intrinsic('body'), '=', text('all is well'))],
    ['body regex', { kind: 'regex', field: intrinsic('body'), pattern: 'w[aeiou]ll$' }],
    ['what logs do not have', is(intrinsic('duration'), '>', duration(1n))],
    [
      'not (a and b)',
      { kind: 'not', of: { kind: 'and', of: [is(any('flag'), '=', text('true')), is(any('n'), '>', number(3))] } },
    ],
    [
      'a or not b',
      {
        kind: 'or',
        of: [is(any('both'), '=', text('record')), { kind: 'not', of: is(any('mixed'), '>', number(10)) }],
      },
    ],
  ];
  it('row by row', async () => {
    await using three = await stores();
    expect(three.all.map((store) => store.stats().logs!.hotRows)).toEqual([60, 0, 0]);
    for (const [name, filter] of rows) {
      const answer = expected(filter);
      for (const [index, store] of three.all.entries())
        expect([name, index, await found(store, filter)]).toEqual([name, index, answer]);
    }
  });

  it('whatever the filter', async () => {
    await using three = await stores();
    const leaf = fc.constantFrom(...rows.map(([, filter]) => filter));
    const tree = fc.letrec<{ node: Filter }>((tie) => ({
      node: fc.oneof(
        { maxDepth: 3, withCrossShrink: true },
        leaf,
        fc.record({
          kind: fc.constantFrom('and' as const, 'or' as const),
          of: fc.array(tie('node'), { minLength: 1, maxLength: 3 }),
        }),
        fc.record({ kind: fc.constant('not' as const), of: tie('node') }),
      ),
    })).node;
    await fc.assert(
      fc.asyncProperty(tree, async (filter) => {
        const answer = expected(filter);
        for (const store of three.all) expect(await found(store, filter)).toEqual(answer);
      }),
      { numRuns: runs(60) },
    );
  });

  it('regular expressions that are none are the caller’s mistake', async () => {
    await using folder = await folderOfOwn();
    await using store = await openStore(folder.path);
    await fill(store);
    await expect(found(store, { kind: 'regex', field: any('n'), pattern: '(' })).rejects.toMatchObject({
      code: 'malformed',
      parameter: 'query',
    });
  });
});

it('spans: kind, status, duration, and text in events', async () => {
  await using folder = await folderOfOwn();
  await using store = await openStore(folder.path);
  const spans = Array.from({ length: 12 }, (_, n) =>
    spanBytes({
      traceId: (n + 1).toString(16).padStart(32, '0'),
      spanId: (n + 1).toString(16).padStart(16, '0'),
      start: noon + BigInt(n),
      end: noon + BigInt(n) + (n === 11 ? -5n : BigInt(n) * 1_000_000n),
      kind: n % 6,
      status: n % 3,
      name: `op ${n % 2}`,
      ...(n === 4 ? { events: [{ name: 'exception', attributes: { 'exception.message': 'Disk FULL' } }] } : {}),
    }),
  );
  await write(store, 'traces', [frame(1, request(resources[0]!, spans), 12)]);
  const rows: [Filter, number[]][] = [
    [is(intrinsic('kind'), '=', text('server')), [2, 8]],
    [is(intrinsic('kind'), '=', text('Consumer')), [5, 11]],
    [is(intrinsic('kind'), '=', text('nonsense')), []],
    [is(intrinsic('status'), '=', text('error')), [2, 5, 8, 11]],
    [is(intrinsic('status'), '!=', text('error')), [0, 1, 3, 4, 6, 7, 9, 10]],
    [is(intrinsic('duration'), '>=', duration(9_000_000n)), [9, 10]],
    [is(intrinsic('duration'), '<', duration(0n)), [11]],
    [is(intrinsic('duration'), '>', number(5)), []],
    [{ kind: 'regex', field: intrinsic('kind'), pattern: '^(prod|cons)umer' }, [5, 11]],
    [{ kind: 'text', text: 'disk full' }, [4]],
    [{ kind: 'text', text: 'OP 1' }, [1, 3, 5, 7, 9, 11]],
    [is(intrinsic('severity'), '=', text('error')), []],
  ];
  for (const rolled of [false, true]) {
    if (rolled) await store.rollAll();
    for (const [filter, answer] of rows) {
      const page = await store.readers.traces!.search(
        {
          range: day,
          service: 'cart',
          operation: undefined,
          filter,
          minDurationNanos: undefined,
          maxDurationNanos: undefined,
          limit: 100,
          cursor: undefined,
        },
        never,
      );
      expect([filter, page.items.map(({ startTimeUnixNano }) => Number(startTimeUnixNano - noon)).reverse()]).toEqual([
        filter,
        answer,
      ]);
    }
    const bounded = await store.readers.traces!.search(
      {
        range: day,
        service: undefined,
        operation: 'op 1',
        filter: { kind: 'all' },
        minDurationNanos: 2_000_000n,
        maxDurationNanos: 7_000_000n,
        limit: 100,
        cursor: undefined,
      },
      never,
    );
    expect(bounded.items.map(({ startTimeUnixNano }) => Number(startTimeUnixNano - noon))).toEqual([7, 5, 3]);
  }
});

it('histogram, fields and their values', async () => {
  await using three = await stores();
  for (const store of three.all) {
    const filter = is(any('n'), '<', number(5));
    const chosen = records.filter((given) => evaluate(filter, given));
    const histogram = await store.readers.logs!.histogram(
      { range: { startUnixNano: noon, endUnixNano: noon + 60n }, filter, intervalNanos: 20n },
      never,
    );
    expect(histogram.buckets.map(({ startUnixNano }) => startUnixNano - noon)).toEqual([0n, 20n, 40n]);
    expect(histogram.buckets[1]!.bySeverity['error']).toBe(
      chosen.filter(
        ({ log }) => log.time! >= noon + 20n && log.time! < noon + 40n && severityOf(log.severity!) === 'error',
      ).length,
    );
    const fields = await store.readers.logs!.fields({ range: day, filter, limit: 100 }, never);
    const count = (name: string) => fields.items.find((field) => field.name === name);
    expect(count('n')).toEqual({ name: 'n', type: 'number', count: chosen.length });
    expect(count('rare')?.count).toBe(chosen.filter(({ log }) => log.attributes!['rare'] !== undefined).length);
    expect(count('resource.pod')).toEqual({ name: 'resource.pod', type: 'string', count: chosen.length });
    expect(count('code')?.type).toBe('mixed');
    const values = await store.readers.logs!.fieldValues({ field: 'both', range: day, filter, limit: 10 }, never);
    const of = (value: string) => chosen.filter((given) => evaluate(is(any('both'), '=', text(value)), given)).length;
    expect(new Map(values.items.map(({ value, count: n }) => [value, n]))).toEqual(
      new Map([
        ['record', of('record')],
        ['resource', of('resource')],
      ]),
    );
    const services = await store.readers.logs!.fieldValues(
      { field: 'service', range: day, filter: { kind: 'all' }, limit: 1 },
      never,
    );
    expect(services.items).toEqual([{ value: 'cart', count: 30 }]);
  }
});
