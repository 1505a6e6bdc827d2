import { joinOwed, type Signal } from '../base/index.ts';
import type { OwnedLog } from '../wal/index.ts';
import type { Answer, Handed } from './protocol.ts';

/**
 * Writes a frame that another replica hands over to the log of its signal, owed to those of its destinations that this one
 * delivers to. One that is there already, handed over or sent by the client itself, is there for them: it is not written again.
 * @param destinations Of a signal, those that others may hand over for.
 * @returns When it is on disk.
 * @throws Fault as the log does, which may be full.
 */
export async function takeOver(
  handed: Handed,
  log: Pick<OwnedLog, 'append'>,
  destinations: readonly string[],
  onTaken: (signal: Signal, records: number) => void,
): Promise<Answer> {
  const { signal, tenant, digest, receivedUnixNano, records, rejected, message } = handed;
  const outstanding = handed.outstanding.filter((name) => destinations.includes(name));
  const without = handed.outstanding.filter((name) => !destinations.includes(name));
  if (outstanding.length === 0) {
    return { kind: 'never', reason: `this replica delivers no ${signal} to ${without.join(', ')}`, without };
  }
  const { repeat } = await log.append({
    tenant,
    digest,
    receivedUnixNano,
    records,
    pieces: [handed.body],
    answer: { rejected, message },
    // Also where equal requests may both be meant: those have names of their own.
    recognise: true,
    outstanding: joinOwed(outstanding),
  });
  if (!repeat) onTaken(signal, records);
  return { kind: 'taken', repeat, without };
}
