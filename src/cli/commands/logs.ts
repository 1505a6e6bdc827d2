import type { Command } from 'commander';
import { logColumns, searchLogs } from '../log-rows.ts';
import type { Outcome } from '../program.ts';
import { addReaderOptions, fullQuery, reading, sayWarnings } from '../reader-options.ts';
import { printRows } from '../table.ts';

export function register(command: Command, outcome: Outcome): void {
  command.argument('[query]', 'words, "quoted text", key=value, AND OR NOT ( )');
  addReaderOptions(command, ['range', 'service', 'namespace', 'limit', 'query'], 50);
  command.option('--asc', 'oldest first');
  command.addHelpText(
    'after',
    `
Examples:
  watchingcat logs '"payment declined"' --since 30m
  watchingcat logs 'severity>=error' --service checkout --limit 200
  watchingcat logs 'trace_id=5b8efff798038103d269b633813fc60c' -o ndjson | jq .body`,
  );
  command.action(async (written: string | undefined) => {
    const { rest, terminal, format, options, range } = reading(command, outcome);
    const found = await searchLogs(rest, {
      ...range,
      query: fullQuery({ query: written ?? options.query, service: options.service, namespace: options.namespace }),
      order: command.opts<{ asc?: boolean }>().asc ? 'asc' : 'desc',
      limit: options.limit ?? 50,
    });
    printRows(terminal, format, logColumns, found.items, { logs: found.items, warnings: found.warnings });
    sayWarnings(terminal, found);
    if (found.items.length === 0) terminal.say('No log record matches in this time; --since 24h looks further back.');
    else if (found.more) terminal.say(`There are more than ${found.items.length}: --limit asks for more.`);
  });
}
