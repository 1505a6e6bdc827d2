import type { Signal } from '../base/index.ts';
import { failingDegradedMs } from './limits.ts';

export type Status = 'ok' | 'degraded' | 'unavailable';

/** The part of a delivery loop's state that health is made of. */
export interface LoopState {
  readonly lagSeconds: number;
  readonly pendingBytes: number;
  readonly lastError: string | undefined;
  readonly failingSinceUnixMs: number | undefined;
}

export interface DestinationState {
  readonly name: string;
  /** Why nothing can be delivered at all, such as a process that is being restarted. */
  readonly trouble: string | undefined;
  readonly loops: { readonly [signal in Signal]?: LoopState };
}

interface DestinationReport {
  readonly status: Status;
  readonly lagSeconds: number;
  readonly pendingBytes: number;
  readonly lastError: string | null;
}

export interface Report {
  readonly status: Status;
  readonly destinations: { readonly [name: string]: DestinationReport };
}

/**
 * What `/health` says. Pure.
 * @param refusing Whether any log refuses at present: then data of that signal cannot be accepted.
 * @param concerns Anything else that somebody should look at, such as dead letters past their bound.
 */
export function assessHealth(state: {
  readonly refusing: boolean;
  readonly concerns: boolean;
  readonly destinations: readonly DestinationState[];
  readonly nowMs: number;
}): Report {
  const destinations = Object.fromEntries(
    state.destinations.map((destination) => [destination.name, assessDestination(destination, state.nowMs)]),
  );
  const worried = state.concerns || Object.values(destinations).some(({ status }) => status !== 'ok');
  return { status: state.refusing ? 'unavailable' : worried ? 'degraded' : 'ok', destinations };
}

function assessDestination({ trouble, loops }: DestinationState, nowMs: number): DestinationReport {
  const states = Object.values(loops);
  const failing = states.filter(
    ({ failingSinceUnixMs }) => failingSinceUnixMs !== undefined && nowMs - failingSinceUnixMs >= failingDegradedMs,
  );
  return {
    status:
      trouble !== undefined || (failing.length > 0 && failing.length === states.length)
        ? 'unavailable'
        : failing.length > 0
          ? 'degraded'
          : 'ok',
    lagSeconds: Math.max(0, ...states.map(({ lagSeconds }) => lagSeconds)),
    pendingBytes: states.reduce((sum, { pendingBytes }) => sum + pendingBytes, 0),
    lastError: trouble ?? states.find(({ lastError }) => lastError !== undefined)?.lastError ?? null,
  };
}
