import { z } from 'zod';
import type { LogRow } from '../stores/contract.ts';
import { bounded, nextCursor, unixNano } from './answers.ts';

const object = z.record(z.string(), z.unknown());
const log = z.object({
  id: z.string(),
  timeUnixNano: unixNano,
  observedTimeUnixNano: unixNano,
  severityNumber: z.int(),
  severityText: z.string(),
  eventName: z.string(),
  body: z.unknown().describe('Text, or JSON where it is structured'),
  attributes: object,
  resource: object,
  scopeName: z.string(),
  traceId: z.string(),
  spanId: z.string(),
});

/** A page of log records. */
export const logPage = z.object({ logs: z.array(log), nextCursor, ...bounded }).meta({
  example: {
    logs: [
      {
        id: '019c0f2a6e00-9f86d081884c7d65-0',
        timeUnixNano: '1769846400000000000',
        observedTimeUnixNano: '1769846400000100000',
        severityNumber: 17,
        severityText: 'ERROR',
        eventName: '',
        body: 'payment declined',
        attributes: { 'order.id': 'A-1042' },
        resource: { 'service.name': 'checkout' },
        scopeName: 'checkout.payment',
        traceId: '5b8efff798038103d269b633813fc60c',
        spanId: 'eee19b7ec3c1b174',
      },
    ],
    nextCursor: null,
  },
});

export function logRowOf({ id, timeUnixNano, observedTimeUnixNano, ...row }: LogRow): z.infer<typeof log> {
  return { id, timeUnixNano: String(timeUnixNano), observedTimeUnixNano: String(observedTimeUnixNano), ...row };
}
