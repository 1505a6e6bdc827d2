import { expect, it } from 'vitest';
import { systemClock } from '../base/index.ts';
import { RefusalAlarm } from './index.ts';

it('says it at once, then once a minute with what came together', () => {
  let nowMs = 0;
  const said: object[] = [];
  const alarm = new RefusalAlarm({ ...systemClock, monotonicMs: () => nowMs }, (fields) => said.push(fields));
  const tell = (atMs: number, records: number, signal: 'metrics' | 'logs' = 'metrics') => {
    nowMs = atMs;
    alarm.refused('prometheus', signal, records, 'too old');
  };
  tell(0, 1);
  tell(1_000, 2);
  tell(2_000, 5, 'logs');
  tell(59_000, 3);
  tell(61_000, 4);
  expect(said).toEqual([
    { destination: 'prometheus', signal: 'metrics', records: 1, reason: 'too old' },
    { destination: 'prometheus', signal: 'logs', records: 5, reason: 'too old' },
    { destination: 'prometheus', signal: 'metrics', records: 9, reason: 'too old' },
  ]);
});
