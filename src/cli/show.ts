// How values look in a table.

/** Nanoseconds as a decimal string → `1.52 ms`, three significant digits. */
export function showDuration(nanos: string | number | bigint | undefined): string {
  if (nanos === undefined) return '';
  const value = Number(nanos);
  for (const [unit, factor] of [
    ['h', 3.6e12],
    ['m', 6e10],
    ['s', 1e9],
    ['ms', 1e6],
    ['µs', 1e3],
  ] as const) {
    if (value >= factor) return `${significant(value / factor)} ${unit}`;
  }
  return `${value} ns`;
}

/** Unix nanoseconds → local date and time with milliseconds, such as `2026-11-23 14:05:09.120`. */
export function showTime(unixNano: string): string {
  const date = new Date(Number(BigInt(unixNano) / 1_000_000n));
  if (Number.isNaN(date.getTime())) return unixNano;
  const two = (part: number) => String(part).padStart(2, '0');
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  const time = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  return `${day} ${time}.${String(date.getMilliseconds()).padStart(3, '0')}`;
}

/** Unix nanoseconds → RFC 3339 in UTC, exact. */
export function exactTime(unixNano: string): string {
  const nanos = BigInt(unixNano);
  const seconds = new Date(Number(nanos / 1_000_000_000n) * 1000);
  if (Number.isNaN(seconds.getTime())) return unixNano;
  return `${seconds.toISOString().slice(0, 19)}.${String(nanos % 1_000_000_000n).padStart(9, '0')}Z`;
}

/** How long ago a time was, for a person: `12 s ago`. @param time RFC 3339. */
export function showAge(time: string, nowMs: number): string {
  const ms = nowMs - Date.parse(time);
  if (Number.isNaN(ms)) return time;
  return ms < 1000 ? 'now' : `${showDuration(Math.round(ms) * 1e6).replace(/\.\d+/, '')} ago`;
}

/** Any JSON value on one line; a text without its quotes. */
export function showValue(value: unknown): string {
  if (value === undefined || value === null) return '';
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function significant(value: number): string {
  return String(Number(value.toPrecision(3)));
}
