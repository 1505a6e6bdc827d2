import type { Clock, Signal } from '../base/index.ts';
import { refusalAlarmEveryMs } from './limits.ts';

interface Tally {
  records: number;
  reason: string;
  saidMs: number;
}

/** Says in the log that a destination refuses records for good: at once, and then at most once a minute each. */
export class RefusalAlarm {
  readonly #tallies = new Map<string, Tally>();
  readonly #clock: Clock;
  readonly #say: (fields: object, message: string) => void;

  constructor(clock: Clock, say: (fields: object, message: string) => void) {
    this.#clock = clock;
    this.#say = say;
  }

  refused(destination: string, signal: Signal, records: number, reason: string): void {
    const key = `${destination} ${signal}`;
    const tally = this.#tallies.get(key) ?? { records: 0, reason, saidMs: Number.NEGATIVE_INFINITY };
    this.#tallies.set(key, tally);
    tally.records += records;
    tally.reason = reason;
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - tally.saidMs < refusalAlarmEveryMs) return;
    tally.saidMs = nowMs;
    this.#say(
      { destination, signal, records: tally.records, reason },
      'records were refused for good: they are among the dead letters',
    );
    tally.records = 0;
  }
}
