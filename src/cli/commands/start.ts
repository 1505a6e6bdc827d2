import { randomBytes } from 'node:crypto';
import type { Command } from 'commander';
import { Fault } from '../../base/index.ts';
import { type Config, loadConfig } from '../../config/index.ts';
import { CommandFailure } from '../failure.ts';
import { announceFirstData } from '../first-data.ts';
import type { Outcome } from '../program.ts';
import { type Addresses, startScreen } from '../screen.ts';
import { addSettings, writtenFlags } from '../settings-options.ts';
import { startFailure } from '../start-failure.ts';
import { packageVersion } from '../version.ts';

export function register(command: Command, outcome: Outcome): void {
  addSettings(command);
  command.addHelpText(
    'after',
    `
Examples:
  watchingcat start --data-dir /var/lib/watchingcat --retention-traces 3d
  watchingcat start --otlp-grpc-port 0 --otlp-http-port 0 --http-port 0    any free ports
  WATCHINGCAT_FORWARD_OTLP_ENDPOINT=http://collector:4317 watchingcat start

Every setting is also an environment variable (--data-dir is WATCHINGCAT_DATA_DIR) and a key of the YAML file;
"watchingcat config print" shows what is in effect and where it came from.`,
  );
  command.action(async () => {
    const config = configOrFailure(command);
    const terminal = outcome.terminal(command);
    const screenWanted = process.stderr.isTTY === true;
    const stopped = new AbortController();
    const { runServer } = await import('../../main.ts');
    try {
      const onListening = (addresses: Addresses) => {
        const ids = { traceId: randomBytes(16).toString('hex'), spanId: randomBytes(8).toString('hex') };
        const started = { version: packageVersion(), addresses, config, ids };
        for (const line of startScreen(started, terminal.paint)) terminal.say(line);
        void announceFirstData(`http://${addresses.http}`, terminal, stopped.signal);
      };
      // Off a terminal the log says where it listens.
      const options = { version: packageVersion(), reload: () => readConfig(command) };
      outcome.exitCode = await runServer(config, screenWanted ? { ...options, onListening } : options);
    } catch (error) {
      const sentence = startFailure(error, config);
      if (sentence === undefined) throw error;
      throw new CommandFailure('problem', sentence);
    } finally {
      stopped.abort();
    }
    // What could still hold the process open has been told to close: a leak must not delay the exit.
    process.exit(outcome.exitCode);
  });
}

function configOrFailure(command: Command): Config {
  try {
    return readConfig(command);
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    throw new CommandFailure('usage', `The configuration is not usable:\n${error.message.replace(/^/gm, '  ')}`);
  }
}

function readConfig(command: Command): Config {
  return loadConfig({ flags: writtenFlags(command), env: process.env, cwd: process.cwd() });
}
