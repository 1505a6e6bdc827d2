import { type Command, InvalidArgumentError, Option } from 'commander';
import { Fault } from '../base/index.ts';
import { durationNanos, parseQuery } from '../query/index.ts';
import { CommandFailure } from './failure.ts';
import type { Outcome } from './program.ts';
import { connect, type Parameters, type Rest } from './rest.ts';
import { type OutputFormat, outputFormats } from './table.ts';
import type { Terminal } from './terminal.ts';

// What the commands have in common that read an instance.

interface ReaderOptions {
  endpoint?: string;
  since?: string;
  start?: string;
  end?: string;
  service?: string;
  namespace?: string;
  limit?: number;
  query?: string;
  output: OutputFormat;
  json?: boolean;
}
export interface Reading {
  readonly rest: Rest;
  readonly terminal: Terminal;
  readonly format: OutputFormat;
  readonly options: ReaderOptions;
  /** `start` and `end` as the API takes them. */
  readonly range: Parameters;
}
type Offer = 'range' | 'since' | 'service' | 'namespace' | 'limit' | 'query';

/** Adds `--endpoint`, `-o`, `--json` and what else is offered: `range` for what was, `since` for what goes on. */
export function addReaderOptions(
  command: Command,
  offers: readonly Offer[],
  limitDefault: number | undefined = undefined,
): void {
  const has = (offer: Offer) => offers.includes(offer);
  addEndpoint(command);
  if (has('range') || has('since')) {
    const since = has('range') ? '1h' : '0s';
    command.option('--since <duration>', `how far back, such as 30m or 2h (default: ${since})`, readSince);
    command.addOption(new Option('--start <time>', 'RFC 3339, Unix time or now-15m').conflicts('since'));
  }
  if (has('range')) command.option('--end <time>', 'as --start (default: now)');
  if (has('service')) command.option('--service <name>', 'only this service');
  if (has('namespace'))
    command.option('--namespace <name>', 'only this namespace (k8s.namespace.name or service.namespace)');
  if (has('query')) command.option('--query <query>', 'a query, as the argument');
  if (has('limit')) command.option('--limit <count>', `at most so many (default: ${limitDefault ?? 'all'})`, readCount);
  command.addOption(new Option('-o, --output <format>', 'form of the data').choices(outputFormats).default('table'));
  command.option('--json', 'the same as -o json');
}

export function addEndpoint(command: Command): void {
  command.option('--endpoint <url>', 'instance to ask (default: WATCHINGCAT_ENDPOINT, else http://127.0.0.1:8090)');
}

/** What a reader's action needs. */
export function reading(command: Command, outcome: Outcome): Reading {
  const options = command.opts<ReaderOptions>();
  const terminal = outcome.terminal(command);
  return {
    rest: connect(options.endpoint, terminal.env),
    terminal,
    format: options.json ? 'json' : options.output,
    options,
    range: {
      start: options.since === undefined ? options.start : `now-${options.since}`,
      end: options.end,
    },
  };
}

/**
 * The query with the conditions that options stand for; undefined where there is nothing to ask.
 * @throws CommandFailure `usage` where it is no query and would stand in parentheses: what the server then says of its
 *         positions would be told of another text than the one that was written.
 */
export function fullQuery(parts: {
  query: string | undefined;
  service?: string | undefined;
  namespace?: string | undefined;
  also?: string;
}): string | undefined {
  const conditions: string[] = [];
  if (parts.service !== undefined) conditions.push(`service=${JSON.stringify(parts.service)}`);
  if (parts.namespace !== undefined) {
    const name = JSON.stringify(parts.namespace);
    conditions.push(`(k8s.namespace.name=${name} OR service.namespace=${name})`);
  }
  if (parts.also !== undefined) conditions.push(parts.also);
  const own = parts.query?.trim() === '' ? undefined : parts.query;
  // Alone it goes as it is, so that the positions in what the server says about it are right.
  if (conditions.length === 0) return own;
  if (own === undefined) return conditions.join(' AND ');
  try {
    parseQuery(own);
  } catch (error) {
    if (error instanceof Fault) throw new CommandFailure('usage', `query: ${error.message}`);
    throw error;
  }
  return [`(${own})`, ...conditions].join(' AND ');
}

/** Tells what a bounded scan left out. */
export function sayWarnings(terminal: Terminal, answer: { warnings?: readonly string[] }): void {
  for (const warning of answer.warnings ?? []) terminal.say(`incomplete: ${warning}`);
}

/**
 * Follows `nextCursor` until there are as many items as asked for.
 * @param fetchPage Asks for one page of at most `limit` items.
 */
export async function pages<T>(
  limit: number,
  pageMax: number,
  fetchPage: (
    limit: number,
    cursor: string | undefined,
  ) => Promise<{ items: readonly T[]; nextCursor?: string | undefined; warnings?: readonly string[] | undefined }>,
): Promise<{ items: T[]; more: boolean; warnings: string[] }> {
  const items: T[] = [];
  const warnings = new Set<string>();
  let cursor: string | undefined;
  do {
    const page = await fetchPage(Math.min(pageMax, limit - items.length), cursor);
    items.push(...page.items);
    for (const warning of page.warnings ?? []) warnings.add(warning);
    cursor = page.nextCursor ?? undefined;
    if (page.items.length === 0) break;
  } while (cursor !== undefined && items.length < limit);
  return { items, more: cursor !== undefined, warnings: [...warnings] };
}

function readSince(text: string): string {
  if (durationNanos(text) === undefined) throw new InvalidArgumentError('Expected a duration such as 30m, 2h or 1d.');
  return text;
}

function readCount(text: string): number {
  const count = Number(text);
  if (!/^\d+$/.test(text) || count < 1 || count > 1_000_000)
    throw new InvalidArgumentError('Expected a number from 1 to 1000000.');
  return count;
}
