import { describe, expect, it } from 'vitest';
import { durationNanos } from './duration.ts';
import { formatTime, parseDuration, parseRange, parseTime } from './time.ts';

const now = 1_769_846_400_123_456_789n; // 2026-01-31T08:00:00.123456789Z
const s = 1_000_000_000n;
const whole = 1_769_846_400n * s;

describe('times', () => {
  it.each([
    { text: 'now', time: now },
    { text: 'now-15m', time: now - 900n * s },
    { text: 'now-1h30m', time: now - 5_400n * s },
    { text: 'now+250ms', time: now + s / 4n },
    { text: 'now-1.5d', time: now - 129_600n * s },
    { text: '1769846400', time: whole },
    { text: '1769846400.5', time: whole + s / 2n },
    { text: '1769846400.123456789', time: whole + 123_456_789n },
    { text: '1769846400123', time: whole + 123_000_000n },
    { text: '1769846400123456', time: whole + 123_456_000n },
    { text: '1769846400123456789', time: now },
    { text: '0', time: 0n },
    { text: '99999999999', time: undefined }, // seconds beyond 2262
    { text: '2026-01-31T08:00:00Z', time: whole },
    { text: '2026-01-31t08:00:00.25z', time: whole + s / 4n },
    { text: '2026-01-31T09:30:00+01:30', time: whole },
    { text: '2026-01-30T23:00:00-09:00', time: whole },
    { text: '2026-01-31 08:00:00.1234567891Z', time: whole + 123_456_789n },
    { text: '2024-02-29T00:00:00Z', time: 1_709_164_800n * s },
    { text: '2016-12-31T23:59:60Z', time: 1_483_228_800n * s },
    { text: '', time: undefined },
    { text: 'yesterday', time: undefined },
    { text: 'now-', time: undefined },
    { text: 'now-15', time: undefined },
    { text: 'now - 15m', time: undefined },
    { text: '-5', time: undefined },
    { text: '1e9', time: undefined },
    { text: '1769846400123.5', time: undefined },
    { text: '2026-01-31', time: undefined },
    { text: '2026-01-31T08:00:00', time: undefined },
    { text: '2026-02-30T08:00:00Z', time: undefined },
    { text: '2026-01-31T24:00:00Z', time: undefined },
    { text: '1969-12-31T23:59:59Z', time: undefined },
    { text: '2300-01-01T00:00:00Z', time: undefined },
    { text: 'now-60000d', time: undefined },
    { text: '9999999999999999999', time: undefined },
  ])('$text', ({ text, time }) => {
    if (time === undefined) {
      expect(() => parseTime(text, now, 'end')).toThrow(
        expect.objectContaining({ code: 'malformed', parameter: 'end' }),
      );
    } else expect(parseTime(text, now, 'end')).toBe(time);
  });

  it('are written so that they read back', () => {
    expect(formatTime(now)).toBe('2026-01-31T08:00:00.123456789Z');
    expect(parseTime(formatTime(now), 0n, 'start')).toBe(now);
  });
});

describe('ranges', () => {
  const hour = 3_600n * s;
  it.each([
    { name: 'the last hour', given: {}, start: now - hour, end: now },
    { name: 'since', given: { start: 'now-5m' }, start: now - 300n * s, end: now },
    { name: 'an hour until', given: { end: '1769846400' }, start: whole - hour, end: whole },
    { name: 'both', given: { start: '1769846000', end: '1769846400' }, start: whole - 400n * s, end: whole },
    { name: 'near the beginning of time', given: { end: '60' }, start: 0n, end: 60n * s },
  ])('$name', ({ given, start, end }) => {
    expect(parseRange(given, now)).toEqual({ startUnixNano: start, endUnixNano: end });
  });

  it.each([
    { given: { start: 'now', end: 'now' }, parameter: 'start' },
    { given: { start: 'now+1h' }, parameter: 'start' },
    { given: { end: '0' }, parameter: 'end' },
    { given: { start: 'x' }, parameter: 'start' },
  ])('refuses $given', ({ given, parameter }) => {
    expect(() => parseRange(given, now)).toThrow(expect.objectContaining({ code: 'malformed', parameter }));
  });
});

describe('durations', () => {
  it.each([
    { text: '250ms', nanos: 250_000_000n },
    { text: '1.5s', nanos: 1_500_000_000n },
    { text: '1h30m', nanos: 5_400n * s },
    { text: '0.1us', nanos: 100n },
    { text: '5µs', nanos: 5_000n },
    { text: '5\u03bcs', nanos: 5_000n },
    { text: '7ns', nanos: 7n },
    { text: '0.9ns', nanos: 0n },
    { text: '1w', nanos: 604_800n * s },
    { text: '0s', nanos: 0n },
    { text: '', nanos: undefined },
    { text: '5', nanos: undefined },
    { text: 'ms', nanos: undefined },
    { text: '-5s', nanos: undefined },
    { text: '5s x', nanos: undefined },
    { text: '.5s', nanos: undefined },
    { text: '9999999999999999999w', nanos: undefined },
  ])('$text', ({ text, nanos }) => {
    expect(durationNanos(text)).toBe(nanos);
    if (nanos === undefined)
      expect(() => parseDuration(text, 'step')).toThrow(expect.objectContaining({ parameter: 'step' }));
  });
});
