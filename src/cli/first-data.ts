import { setTimeout as sleep } from 'node:timers/promises';
import { recordNoun, type Signal, signals } from '../base/index.ts';
import { escapeForTerminal } from './escape.ts';
import { pollMs } from './limits.ts';
import { connect } from './rest.ts';
import type { Terminal } from './terminal.ts';

interface Flow {
  readonly service: string;
  readonly signal: Signal;
  readonly stages: { readonly received: { readonly count: number } };
}

/**
 * Says when the first span, data point and log record have come, and from whom; asks the process itself until it knows
 * all three, ever more seldom.
 */
export async function announceFirstData(endpoint: string, terminal: Terminal, cancel: AbortSignal): Promise<void> {
  const rest = connect(endpoint, {});
  const startedMs = performance.now();
  const missing = new Set<Signal>(signals);
  terminal.say(terminal.paint('dim', 'waiting for the first data…'));
  for (let waitMs = pollMs / 2; missing.size > 0; waitMs = Math.min(5000, waitMs * 1.1)) {
    await sleep(waitMs, undefined, { signal: cancel, ref: false }).catch(() => undefined);
    if (cancel.aborted) return;
    const answer = await rest.get<{ flows: Flow[] }>('/api/v1/pipeline/status', {}, cancel).catch(() => undefined);
    for (const { service, signal, stages } of answer?.flows ?? []) {
      if (stages.received.count === 0 || !missing.delete(signal)) continue;
      const seconds = Math.round((performance.now() - startedMs) / 1000);
      const sender = service === '' ? '' : ` from ${escapeForTerminal(service)}`;
      terminal.say(`${terminal.paint('green', '✓')} first ${recordNoun[signal]}${sender} after ${seconds} s`);
    }
  }
}
