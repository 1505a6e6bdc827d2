import { type Command, Option } from 'commander';
import { signals } from '../../base/index.ts';
import { exitCodes } from '../failure.ts';
import type { Outcome } from '../program.ts';
import { addEndpoint, addReaderOptions, reading } from '../reader-options.ts';
import type { Parameters } from '../rest.ts';
import { type Column, printRows } from '../table.ts';

interface DeadLetter {
  readonly id: number;
  readonly destination: string;
  readonly signal: string;
  readonly reason: string;
  readonly records: number;
  readonly sizeBytes: number;
  readonly added: string;
}
interface Listed {
  readonly deadLetters: readonly DeadLetter[];
  readonly total: number;
  readonly dropped: number;
}
interface Replayed {
  readonly replayed: number;
  readonly left: readonly {
    readonly id: number;
    readonly destination: string;
    readonly reason: string;
    readonly refused: boolean;
  }[];
  readonly remaining: number;
}

const path = '/api/v1/pipeline/dead-letters';

export function register(command: Command, outcome: Outcome): void {
  command.addHelpText(
    'after',
    `
What a destination refuses for good is kept in the data folder until it is replayed. Both commands ask the running instance.

Examples:
  watchingcat dead-letters list
  watchingcat dead-letters list --destination prometheus --reason 'out of bounds'
  watchingcat dead-letters replay --destination elasticsearch`,
  );
  const list = command.command('list').description('what destinations refused, the oldest first, with the reason');
  addReaderOptions(list, ['limit'], 1000);
  addFilters(list);
  list.action(async () => {
    const { rest, terminal, format, options } = reading(list, outcome);
    const limit = options.limit ?? 1000;
    const found = await rest.get<Listed>(path, { ...filtersOf(list), limit });
    const nowMs = Date.now();
    printRows(terminal, format, columnsAt(nowMs), found.deadLetters, found);
    if (found.total > found.deadLetters.length) terminal.say(`${found.total} in all: --limit shows more.`);
    if (found.dropped > 0)
      terminal.say(`${found.dropped} more came when there was no room (deadLetters.maxBytes) and are gone.`);
    if (found.total === 0) terminal.say('No dead letters.');
  });
  const replay = command
    .command('replay')
    .description('give them to their destinations again; exit code 1 where some stay');
  addEndpoint(replay);
  addFilters(replay);
  replay.addOption(new Option('-o, --output <format>').hideHelp().default('table')).option('--json', 'print JSON');
  replay.action(async () => {
    const { rest, terminal, format } = reading(replay, outcome);
    const total = { replayed: 0, left: [] as Replayed['left'][number][], remaining: 0 };
    const tried = new Set<number>();
    for (;;) {
      const answer = await rest.post<Replayed>(`${path}/replay`, filtersOf(replay));
      total.replayed += answer.replayed;
      total.remaining = answer.remaining;
      const fresh = answer.left.filter(({ id }) => !tried.has(id));
      for (const each of fresh) tried.add(each.id);
      total.left.push(...fresh);
      // Those that stay are tried first each time: without progress the rest is not reached.
      if (answer.remaining === 0 || answer.replayed === 0) break;
    }
    if (format === 'json') terminal.print(JSON.stringify(total, null, 2));
    else printRows(terminal, 'table', leftColumns, total.left, total);
    terminal.say(`${total.replayed} replayed, ${total.left.length} stay, ${total.remaining} not tried.`);
    if (total.left.length > 0 || total.remaining > 0) outcome.exitCode = exitCodes.problem;
  });
}

function addFilters(command: Command): void {
  command.option('--destination <name>', 'only of this destination');
  command.addOption(new Option('--signal <signal>', 'only of this signal').choices(signals));
  command.option('--reason <text>', 'only where the reason has this in it');
  command.option('--id <id>', 'only this one');
}

function filtersOf(command: Command): Parameters {
  const { destination, signal, reason, id } = command.opts<Record<string, string | undefined>>();
  return { destination, signal, reason, id };
}

function columnsAt(nowMs: number): readonly Column<DeadLetter>[] {
  return [
    { title: 'ID', align: 'right', show: ({ id }) => String(id) },
    { title: 'AGE', align: 'right', show: ({ added }) => age(nowMs - Date.parse(added)) },
    { title: 'DESTINATION', show: ({ destination }) => destination },
    { title: 'SIGNAL', show: ({ signal }) => signal },
    { title: 'RECORDS', align: 'right', show: ({ records }) => String(records) },
    { title: 'REASON', show: ({ reason }) => reason },
  ];
}

const leftColumns: readonly Column<Replayed['left'][number]>[] = [
  { title: 'ID', align: 'right', show: ({ id }) => String(id) },
  { title: 'DESTINATION', show: ({ destination }) => destination },
  { title: 'WHAT', show: ({ refused }) => (refused ? 'refused again' : 'not now') },
  { title: 'REASON', show: ({ reason }) => reason },
];

/** `12s`, `5m`, `3h`, `9d`: as kubectl shows ages. */
function age(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 120) return `${seconds}s`;
  if (seconds < 7_200) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3_600)}h`;
  return `${Math.floor(seconds / 86_400)}d`;
}
