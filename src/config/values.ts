import { readAddressRange, type Signal, signals } from '../base/index.ts';
import { headersMax, portMax } from './limits.ts';

// Readers of the settings that are more than a word or a number. undefined: not understood.

/** `off`, or some of the signals by commas or as a list. */
export function readSignalSet(raw: string | boolean | readonly string[]): ReadonlySet<Signal> | undefined {
  // YAML 1.1 readers, and people, write `off` as a boolean.
  if (raw === false || raw === 'off') return new Set();
  if (typeof raw === 'boolean') return undefined;
  const names = (typeof raw === 'string' ? raw.split(',') : raw).map((name) => name.trim());
  const known = signals.filter((signal) => names.includes(signal));
  return names.length > 0 && names.every((name) => signals.some((signal) => signal === name))
    ? new Set(known)
    : undefined;
}

/** Scheme, host and port of an OTLP gRPC endpoint; the port is 4317 where none is written. */
export function readGrpcEndpoint(raw: string): string | undefined {
  const url = URL.parse(raw);
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) return undefined;
  // Credentials belong into the headers, which are secret; gRPC knows neither a path nor a query.
  if (url.username || url.password || url.search || url.hash || url.pathname !== '/') return undefined;
  // URL drops the port that is the scheme's own, so that `https://x:443` must be read from the text.
  const port = url.port || /:(\d+)\/?$/.exec(raw)?.[1] || '4317';
  return `${url.protocol}//${url.hostname}:${port}`;
}

/** An HTTP address as it was written, without a slash at its end; a path is kept. */
export function readHttpUrl(raw: string): string | undefined {
  const url = URL.parse(raw);
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:') || url.hostname === '') return undefined;
  // Credentials have settings of their own, which are secret.
  if (url.username || url.password || url.hash) return undefined;
  return raw.replace(/\/+$/, '');
}

/**
 * Headers by commas or lines, values percent-encoded.
 * @see OpenTelemetry specification "Environment Variable Specification", W3C Baggage list form.
 */
export function readHeaderList(raw: string): Readonly<Record<string, string>> | undefined {
  const entries: [string, string][] = [];
  for (const item of raw.split(/[,\n]/)) {
    if (item.trim() === '') continue;
    const at = item.indexOf('=');
    if (at < 0) return undefined;
    try {
      entries.push([item.slice(0, at).trim(), decodeURIComponent(item.slice(at + 1).trim())]);
    } catch {
      return undefined; // a % that is not followed by two hex digits
    }
  }
  return checkHeaders(entries);
}

/** Names in lower case and values as HTTP/2 and gRPC carry them; `-bin` headers, which hold bytes, are refused. */
export function checkHeaders(entries: readonly (readonly [string, string])[]): Record<string, string> | undefined {
  const headers: Record<string, string> = {};
  if (entries.length > headersMax) return undefined;
  for (const [written, value] of entries) {
    const name = written.toLowerCase();
    if (!/^[a-z0-9][a-z0-9_.-]*$/.test(name) || name.endsWith('-bin') || name.startsWith('grpc-')) return undefined;
    if (!/^[\x20-\x7e]*$/.test(value)) return undefined;
    headers[name] = value;
  }
  return headers;
}

type Listed = string | boolean | readonly string[];

/** Keys of labels or annotations; `off` is none, `*` all. */
export function readChosenKeys(raw: Listed): 'all' | readonly string[] | undefined {
  const list = readList(raw);
  if (list?.length === 1 && list[0] === '*') return 'all';
  return list?.every((key) => /^[A-Za-z0-9][A-Za-z0-9._/-]*$/.test(key)) === true ? list : undefined;
}

/** Addresses and ranges in CIDR form; `off` is none. */
export function readAddressRanges(raw: Listed): readonly string[] | undefined {
  const list = readList(raw);
  return list?.every((range) => readAddressRange(range) !== undefined) === true ? list : undefined;
}

/** `off`, `in-cluster` or a path. What looks like a switch is none of these. */
export function readKubernetesAccess(raw: string | boolean): string | undefined {
  if (raw === false || raw === 'off') return 'off';
  return typeof raw === 'string' && !isSwitch(raw) && !raw.includes('\0') ? raw : undefined;
}

/** `on` is the name of no file that somebody means. */
export function isSwitch(text: string): boolean {
  return /^(|on|off|true|false|yes|no|auto)$/i.test(text);
}

function readList(raw: Listed): readonly string[] | undefined {
  if (raw === 'off' || raw === false) return [];
  if (raw === true) return undefined;
  return (typeof raw === 'string' ? raw.split(',') : raw).map((each) => each.trim());
}

/** `host`, `host:port`, `1.2.3.4`, `[::1]:port`, separated by commas; undefined where one of them is none. */
export function readPeerNames(
  raw: string | readonly string[],
): readonly { readonly host: string; readonly port: number | undefined }[] | undefined {
  const names: { host: string; port: number | undefined }[] = [];
  for (const each of typeof raw === 'string' ? raw.split(',') : raw) {
    const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]{1,253}))(?::(\d{1,5}))?$/.exec(each.trim());
    const port = match?.[3] === undefined ? undefined : Number(match[3]);
    if (match === null || (port !== undefined && (port < 1 || port > portMax))) return undefined;
    names.push({ host: match[1] ?? match[2] ?? '', port });
  }
  return names.length === 0 ? undefined : names;
}
