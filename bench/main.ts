import { parseArgs } from 'node:util';
import { destinationNames, destinationsBench } from './destinations.ts';
import { ingest } from './ingest.ts';
import { query } from './query.ts';
import { size } from './size.ts';
import { rate, sustained } from './sustained.ts';
import { systemNames, usualSystems } from './systems.ts';

const usage = `npm run bench [-- COMMAND [OPTIONS]]

  ingest     (default) ours and the OpenTelemetry Collector side by side: CPU, throughput, latency, memory, loss
  size       the installation, memory at rest, time of --help
  rate       memory at 10,000 items/s, forwarding and embedded; --seconds (20)
  sustained  50,000 spans/s into the embedded store: lag, memory; --seconds (60)
  destinations  this process and the Collector writing to the same real backend: CPU, throughput; --only LIST of
             ${destinationNames.join(',')} (all); --batch LIST (100,1000), --items N (100000), --rounds N (3), --json FILE
  query      fills an embedded store with --items (10000000) spans and as many log lines, and times questions over REST

Options of ingest:
  --quick              traces over gRPC, 100 and 1,000 a request, 4 in flight, 3 s each
  --peers LIST         of ${systemNames.join(',')} (${usualSystems.join(',')})
  --signal LIST        of traces,logs,metrics (all)
  --protocol LIST      of grpc,http (all)
  --batch LIST         items a request (100,1000)
  --in-flight LIST     requests under way (4,32)
  --seconds N          length of a run (5)
  --rounds N           runs of each row, of which the median counts (3)
  --json FILE          all figures
The OpenTelemetry Collector, the load generator and the sink are found in BACKENDS_HOME/bin.
WATCHINGCAT_BENCH_DIR is where data are written (the system's temporary folder).
`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean', default: false },
    peers: { type: 'string' },
    signal: { type: 'string' },
    protocol: { type: 'string' },
    batch: { type: 'string' },
    'in-flight': { type: 'string' },
    seconds: { type: 'string' },
    rounds: { type: 'string' },
    json: { type: 'string' },
    items: { type: 'string' },
    only: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});

const command = values.help ? 'help' : (positionals[0] ?? 'ingest');
if (command === 'ingest') {
  const quick = values.quick;
  const good = await ingest({
    systems: listed(values.peers, systemNames, usualSystems),
    signals: listed(values.signal, ['traces', 'logs', 'metrics'], quick ? ['traces'] : undefined),
    protocols: listed(values.protocol, ['grpc', 'http'], quick ? ['grpc'] : undefined),
    batches: numbers(values.batch, [100, 1000]),
    inFlight: numbers(values['in-flight'], quick ? [4] : [4, 32]),
    seconds: number(values.seconds, quick ? 3 : 5),
    rounds: number(values.rounds, quick ? 1 : 3),
    jsonFile: values.json,
  });
  process.exitCode = good ? 0 : 1;
} else if (command === 'size') {
  await size();
} else if (command === 'rate') {
  process.exitCode = (await rate(number(values.seconds, 20))) ? 0 : 1;
} else if (command === 'sustained') {
  process.exitCode = (await sustained(number(values.seconds, 60))) ? 0 : 1;
} else if (command === 'destinations') {
  const good = await destinationsBench({
    only: listed(values.only, destinationNames),
    batches: numbers(values.batch, [100, 1000]),
    items: number(values.items, 100_000),
    rounds: number(values.rounds, 3),
    jsonFile: values.json,
  });
  process.exitCode = good ? 0 : 1;
} else if (command === 'query') {
  await query(number(values.items, 10_000_000));
} else {
  console.log(usage);
  process.exitCode = command === 'help' ? 0 : 2;
}

/** The entries of a comma-separated option, each one of `known`. */
function listed<T extends string>(
  text: string | undefined,
  known: readonly T[],
  fallback?: readonly T[],
): readonly T[] {
  if (text === undefined) return fallback ?? known;
  return text.split(',').map((entry) => {
    const found = known.find((name) => name === entry);
    if (found === undefined) throw new Error(`'${entry}' is none of ${known.join(', ')}`);
    return found;
  });
}

function numbers(text: string | undefined, fallback: readonly number[]): readonly number[] {
  return text === undefined ? fallback : text.split(',').map((entry) => number(entry, 0));
}

function number(text: string | undefined, fallback: number): number {
  if (text === undefined) return fallback;
  const value = Number(text);
  if (!Number.isFinite(value) || value <= 0) throw new Error(`'${text}' is not a number above 0`);
  return value;
}
