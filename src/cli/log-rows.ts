import { pageRecordsMax } from './limits.ts';
import { pages } from './reader-options.ts';
import type { Parameters, Rest } from './rest.ts';
import { exactTime, showTime, showValue } from './show.ts';
import type { Column } from './table.ts';
import type { Style } from './terminal.ts';

/** A log record as the API gives it. */
export interface LogRecord {
  readonly id: string;
  readonly timeUnixNano: string;
  readonly severityNumber: number;
  readonly severityText: string;
  readonly body: unknown;
  readonly attributes: { readonly [key: string]: unknown };
  readonly resource: { readonly [key: string]: unknown };
  readonly traceId: string;
  readonly spanId: string;
}

/** Records that match, in the order asked for; follows the cursor. */
export function searchLogs(rest: Rest, parameters: Parameters & { limit: number }) {
  return pages(parameters.limit, pageRecordsMax, (limit, cursor) => logPage(rest, { ...parameters, limit, cursor }));
}

/** One page of the records that match. */
export async function logPage(rest: Rest, parameters: Parameters, cancel?: AbortSignal) {
  const answer = await rest.get<{ logs: LogRecord[]; nextCursor?: string | null; warnings?: string[] }>(
    '/api/v1/logs',
    parameters,
    cancel,
  );
  return { items: answer.logs, nextCursor: answer.nextCursor ?? undefined, warnings: answer.warnings };
}

export const logColumns: readonly Column<LogRecord>[] = [
  {
    title: 'TIME',
    show: ({ timeUnixNano }) => showTime(timeUnixNano),
    exact: ({ timeUnixNano }) => exactTime(timeUnixNano),
  },
  { title: 'SEVERITY', show: severityOf, style: ({ severityNumber }) => severityStyle(severityNumber) },
  { title: 'SERVICE', show: ({ resource }) => showValue(resource['service.name']) },
  { title: 'TRACE', show: ({ traceId }) => traceId.slice(0, 8), exact: ({ traceId }) => traceId },
  { title: 'BODY', show: ({ body }) => showValue(body) },
];

/** As sent, else the name of the number's range. */
export function severityOf({ severityText, severityNumber }: LogRecord): string {
  if (severityText !== '') return severityText;
  return ['', 'TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL'][Math.ceil(severityNumber / 4)] ?? '';
}

export function severityStyle(severityNumber: number): Style | undefined {
  if (severityNumber >= 17) return 'red';
  if (severityNumber >= 13) return 'yellow';
  return severityNumber > 0 && severityNumber < 9 ? 'dim' : undefined;
}
