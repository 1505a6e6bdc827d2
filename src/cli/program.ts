import { Command, CommanderError } from 'commander';
import { CommandFailure, exitCodes } from './failure.ts';
import { openTerminal, type Terminal } from './terminal.ts';
import { packageVersion } from './version.ts';

/** A command's module: it is loaded only when the command runs, so that `--help` and `--version` are instant. */
interface CommandModule {
  /** Adds options, arguments, examples and the action. The action sets `outcome.exitCode` where it is not 0. */
  register(command: Command, outcome: Outcome): void;
}
export interface Outcome {
  exitCode: number;
  /** Made at first use, when the options are known. */
  terminal(command: Command): Terminal;
}

interface CommandEntry {
  readonly name: string;
  readonly summary: string;
  load(): Promise<CommandModule>;
}

/** Every command, in the order in which the help shows them. */
export const commands: readonly CommandEntry[] = [
  { name: 'start', summary: 'receive, keep and answer (the default)', load: () => import('./commands/start.ts') },
  {
    name: 'demo',
    summary: 'send the telemetry of a small shop to a running instance',
    load: () => import('./commands/demo.ts'),
  },
  {
    name: 'send',
    summary: 'send one span, log record and metric, and read them back',
    load: () => import('./commands/send.ts'),
  },
  {
    name: 'services',
    summary: 'list services: spans, errors, latencies',
    load: () => import('./commands/services.ts'),
  },
  { name: 'traces', summary: 'search traces, or show one by its id', load: () => import('./commands/traces.ts') },
  { name: 'logs', summary: 'search log records', load: () => import('./commands/logs.ts') },
  { name: 'metrics', summary: 'list metrics', load: () => import('./commands/metrics.ts') },
  { name: 'events', summary: 'list Kubernetes events', load: () => import('./commands/events.ts') },
  { name: 'query', summary: 'evaluate PromQL', load: () => import('./commands/query.ts') },
  { name: 'tail', summary: 'follow log records as they arrive', load: () => import('./commands/tail.ts') },
  {
    name: 'dead-letters',
    summary: 'list what destinations refused, or replay it',
    load: () => import('./commands/dead-letters.ts'),
  },
  { name: 'config', summary: 'print, check or describe the configuration', load: () => import('./commands/config.ts') },
  {
    name: 'completion',
    summary: 'print the completion script of a shell',
    load: () => import('./commands/completion.ts'),
  },
];

/** Runs the command line; sets the process's exit code: 0 fine, 1 a problem was found, 2 wrong usage, 3 unreachable. */
export async function main(argv: readonly string[]): Promise<void> {
  process.exitCode = await run(argv);
}

async function run(argv: readonly string[]): Promise<number> {
  const outcome: Outcome = {
    exitCode: exitCodes.ok,
    terminal: (command) => openTerminal(command.optsWithGlobals<{ quiet?: boolean }>().quiet === true),
  };
  try {
    // Commands that work and end may take what memory V8 likes.
    if (withDefaultCommand(argv)[0] === 'start') (await import('../base/index.ts')).holdYoung();
    const program = await buildProgram(argv, outcome);
    await program.parseAsync([...withDefaultCommand(argv)], { from: 'user' });
    return outcome.exitCode;
  } catch (error) {
    // commander has told the person already; its own codes mean nothing outside.
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
    if (error instanceof CommandFailure) {
      process.stderr.write(`${error.message}\n`);
      return error.exitCode;
    }
    throw error;
  }
}

/** The program with the options of the command that is called, or of all commands. */
export async function buildProgram(argv: readonly string[] | 'all', outcome: Outcome): Promise<Command> {
  const program = new Command('watchingcat')
    .description('Observability backend for Kubernetes: OpenTelemetry in, durable, queryable, in one process.')
    .version(packageVersion(), '-V, --version')
    .exitOverride()
    .showHelpAfterError('(--help tells more)')
    .enablePositionalOptions()
    .helpCommand(false)
    .addHelpText('after', helpExamples);
  const wanted = argv === 'all' ? undefined : withDefaultCommand(argv)[0];
  for (const { name, summary, load } of commands) {
    const command = program.command(name).summary(summary).description(summary).exitOverride();
    command.option('--quiet', 'no talk on stderr, only errors').configureHelp({ showGlobalOptions: false });
    command.showHelpAfterError(`(watchingcat ${name} --help tells more)`);
    if (wanted === undefined || wanted === name) (await load()).register(command, outcome);
  }
  return program;
}

/** `watchingcat` and `watchingcat --data-dir x` start. */
function withDefaultCommand(argv: readonly string[]): readonly string[] {
  const [first] = argv;
  if (first === undefined) return ['start'];
  return first.startsWith('-') && !['-h', '--help', '-V', '--version'].includes(first) ? ['start', ...argv] : argv;
}

const helpExamples = `
Examples:
  watchingcat                                     start with everything at its default
  watchingcat start --help                        all settings and their flags
  watchingcat demo                                fill a running instance with data
  watchingcat traces 'status=error' --since 30m   failing traces
  watchingcat logs '"payment declined"' -o csv    log lines as CSV
  watchingcat query 'sum by (service_name) (rate(http_server_request_duration_seconds_count[5m]))'

Exit codes: 0 fine, 1 found a problem, 2 wrong usage, 3 unreachable.`;
