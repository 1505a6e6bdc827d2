import { Fault } from '../base/index.ts';
import type { TimeRange } from '../stores/contract.ts';
import { durationNanos, unitNanos } from './duration.ts';

const rfc3339 = /^(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9})\d*)?(?:([Zz])|([+-])(\d\d):(\d\d))$/;
const unix = /^(\d{1,19})(?:\.(\d{1,9})\d*)?$/;
const relative = /^now(?:([+-])(.+))?$/;
const int64Max = (1n << 63n) - 1n;
const hour = unitNanos.h;

/**
 * Reads a time: RFC 3339; Unix seconds, milliseconds, microseconds or nanoseconds, told apart by magnitude
 * (below 10^11 seconds, below 10^14 milliseconds, below 10^17 microseconds; only seconds may have a fraction); or
 * `now`, `now-15m`, `now+1h30m`.
 * @param parameter  Name of the parameter, for the Fault.
 * @returns Unix nanoseconds, 0 to 2^63-1.
 * @throws Fault `malformed` with the parameter.
 */
export function parseTime(text: string, nowUnixNano: bigint, parameter: string): bigint {
  const time = readRelative(text, nowUnixNano) ?? readUnix(text) ?? readRfc3339(text);
  if (time === undefined) {
    const form = 'RFC 3339 (2026-01-31T08:00:00Z), Unix s, ms, µs or ns, or relative (now-15m)';
    throw new Fault('malformed', `expected a time: ${form}`, { parameter });
  }
  if (time < 0n || time > int64Max) {
    throw new Fault('malformed', 'expected a time from 1970-01-01 to 2262-04-11', { parameter });
  }
  return time;
}

/**
 * The range that `start` and `end` name; `end` defaults to now, `start` to one hour before `end`.
 * @throws Fault `malformed` with the parameter.
 */
export function parseRange(
  { start, end }: { readonly start?: string | undefined; readonly end?: string | undefined },
  nowUnixNano: bigint,
): TimeRange {
  const endUnixNano = end === undefined ? nowUnixNano : parseTime(end, nowUnixNano, 'end');
  const startUnixNano = start === undefined ? max(0n, endUnixNano - hour) : parseTime(start, nowUnixNano, 'start');
  if (startUnixNano >= endUnixNano) {
    throw new Fault('malformed', 'expected a start before the end', {
      parameter: start === undefined ? 'end' : 'start',
    });
  }
  return { startUnixNano, endUnixNano };
}

/**
 * Reads a duration of a parameter, such as `250ms`.
 * @throws Fault `malformed` with the parameter.
 */
export function parseDuration(text: string, parameter: string): bigint {
  const nanos = durationNanos(text);
  if (nanos === undefined)
    throw new Fault('malformed', 'expected a duration such as 250ms, 1.5s or 1h30m', { parameter });
  return nanos;
}

/** RFC 3339 in UTC with nanoseconds. */
export function formatTime(unixNano: bigint): string {
  const seconds = unixNano / 1_000_000_000n;
  const fraction = String(unixNano % 1_000_000_000n).padStart(9, '0');
  return `${new Date(Number(seconds) * 1000).toISOString().slice(0, 19)}.${fraction}Z`;
}

function readRelative(text: string, now: bigint): bigint | undefined {
  const match = relative.exec(text);
  if (match === null) return undefined;
  const [, sign, offset] = match;
  if (offset === undefined) return now;
  const nanos = durationNanos(offset);
  if (nanos === undefined) return undefined;
  return sign === '-' ? now - nanos : now + nanos;
}

function readUnix(text: string): bigint | undefined {
  const match = unix.exec(text);
  if (match === null) return undefined;
  const [, whole = '', fraction] = match;
  const value = BigInt(whole);
  if (value < 100_000_000_000n) {
    return value * 1_000_000_000n + BigInt((fraction ?? '').padEnd(9, '0'));
  }
  if (fraction !== undefined) return undefined;
  if (value < 100_000_000_000_000n) return value * 1_000_000n;
  if (value < 100_000_000_000_000_000n) return value * 1_000n;
  return value;
}

function readRfc3339(text: string): bigint | undefined {
  const match = rfc3339.exec(text);
  if (match === null) return undefined;
  const [, ...part] = match;
  const [year = 0, month = 0, day = 0, hours = 0, minutes = 0, seconds = 0] = part.slice(0, 6).map(Number);
  const [fraction = '', , sign, offsetHours = '0', offsetMinutes = '0'] = part.slice(6);
  const date = new Date(Date.UTC(year, month - 1, day));
  // Date rolls the 31st of February over to March; a date that does not exist is refused. A second of 60 is a leap second.
  if (date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day || year < 1970) return undefined;
  if (hours > 23 || minutes > 59 || seconds > 60 || Number(offsetHours) > 23 || Number(offsetMinutes) > 59)
    return undefined;
  const offset = (Number(offsetHours) * 60 + Number(offsetMinutes)) * (sign === '-' ? -1 : 1);
  const unixSeconds = date.getTime() / 1000 + hours * 3600 + minutes * 60 + seconds - offset * 60;
  return BigInt(unixSeconds) * 1_000_000_000n + BigInt((fraction ?? '').padEnd(9, '0'));
}

function max(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}
