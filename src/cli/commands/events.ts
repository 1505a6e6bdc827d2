import type { Command } from 'commander';
import { type LogRecord, searchLogs, severityOf } from '../log-rows.ts';
import type { Outcome } from '../program.ts';
import { addReaderOptions, fullQuery, reading, sayWarnings } from '../reader-options.ts';
import { exactTime, showTime, showValue } from '../show.ts';
import { type Column, printRows } from '../table.ts';

export function register(command: Command, outcome: Outcome): void {
  command.argument('[query]', 'as for logs');
  addReaderOptions(command, ['range', 'namespace', 'limit', 'query'], 50);
  command.addHelpText(
    'after',
    `
Examples:
  watchingcat events --namespace shop --since 2h
  watchingcat events 'k8s.event.reason in (OOMKilling, BackOff)'`,
  );
  command.action(async (written: string | undefined) => {
    const { rest, terminal, format, options, range } = reading(command, outcome);
    const found = await searchLogs(rest, {
      ...range,
      // The Collector's k8s_events receiver sends events as log records with this attribute.
      query: fullQuery({ query: written ?? options.query, namespace: options.namespace, also: 'k8s.event.reason:*' }),
      order: 'desc',
      limit: options.limit ?? 50,
    });
    printRows(terminal, format, columns, found.items, { events: found.items, warnings: found.warnings });
    sayWarnings(terminal, found);
    if (found.items.length === 0) terminal.say('No Kubernetes event in this time.');
  });
}

/** An attribute of the record, else of its resource: the receiver puts the object into the resource. */
function attribute({ attributes, resource }: LogRecord, key: string): string {
  return showValue(attributes[key] ?? resource[key]);
}

const columns: readonly Column<LogRecord>[] = [
  {
    title: 'TIME',
    show: ({ timeUnixNano }) => showTime(timeUnixNano),
    exact: ({ timeUnixNano }) => exactTime(timeUnixNano),
  },
  { title: 'TYPE', show: severityOf, style: ({ severityText }) => (severityText === 'Warning' ? 'yellow' : undefined) },
  { title: 'REASON', show: (event) => attribute(event, 'k8s.event.reason') },
  { title: 'NAMESPACE', show: (event) => attribute(event, 'k8s.namespace.name') },
  { title: 'OBJECT', show: (event) => `${attribute(event, 'k8s.object.kind')}/${attribute(event, 'k8s.object.name')}` },
  { title: 'MESSAGE', show: ({ body }) => showValue(body) },
];
