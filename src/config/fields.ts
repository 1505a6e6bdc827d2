import { z } from 'zod';
import { signals } from '../base/index.ts';
import { holdSecondsMax, logSizeBytesMin, portMax } from './limits.ts';
import { readDurationMs, readSizeBytes } from './units.ts';
import {
  checkHeaders,
  readAddressRanges,
  readChosenKeys,
  readGrpcEndpoint,
  readHeaderList,
  readHttpUrl,
  readKubernetesAccess,
  readPeerNames,
  readSignalSet,
} from './values.ts';

// What a setting's text may be, one reader for each kind: each says what was expected where it does not understand.

export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];

const scalar = z.union([z.string(), z.number()], { error: 'a text or a number' });
export const text = z.string({ error: 'a text' });

/** A setting whose text must be understood; `expected` completes "expected …". */
export function read<In, Out>(input: z.ZodType<In, In>, expected: string, reader: (raw: In) => Out | undefined) {
  return input.transform((raw, context): Out => {
    const value = reader(raw);
    if (value !== undefined) return value;
    context.issues.push({ code: 'custom', message: expected, input: raw });
    return z.NEVER;
  });
}

export const port = read(scalar, `a port from 0 to ${portMax} (0 = any free port)`, (raw) => {
  const value = /^\d{1,5}$/.test(String(raw)) ? Number(raw) : Number.NaN;
  return value <= portMax ? value : undefined;
});
export const durationMs = read(text, 'a duration such as 7d, 12h or 30m', (raw) => readDurationMs(raw) || undefined);
export const sizeBytes = read(scalar, 'a size such as 4GiB, 512MiB or a number of bytes', (raw) =>
  readSizeBytes(String(raw)),
);
export const logSizeBytes = read(scalar, `a size such as 4GiB, at least ${logSizeBytesMin / 2 ** 20}MiB`, (raw) => {
  const bytes = readSizeBytes(String(raw));
  return bytes !== undefined && bytes >= logSizeBytesMin ? bytes : undefined;
});
export const word = read(scalar, 'a text without control characters, up to 255 characters', (raw) =>
  /^[^\p{Cc}]{1,255}$/u.test(String(raw)) ? String(raw) : undefined,
);
export const host = read(text, 'an IP address or a host name to listen on, without a port', (raw) =>
  /^[A-Za-z0-9._-]{1,253}$/.test(raw) || /^[0-9A-Fa-f:.]+(%[A-Za-z0-9]+)?$/.test(raw) ? raw : undefined,
);
export const path = read(text, 'the path of a file or folder', (raw) =>
  raw !== '' && !raw.includes('\0') ? raw : undefined,
);
export const grpcEndpoint = read(
  text,
  'a URL such as http://collector:4317 or https://collector:4317',
  readGrpcEndpoint,
);
export const headers = read(
  z.union([z.string(), z.record(z.string(), z.string())], { error: 'name=value,name=value or a map of texts' }),
  'name=value,name=value (values percent-encoded), names as HTTP/2 has them, in lower case',
  (raw) => (typeof raw === 'string' ? readHeaderList(raw) : checkHeaders(Object.entries(raw))),
);
export const signalSet = read(
  z.union([z.string(), z.boolean(), z.array(z.string())], { error: `some of ${signals.join(', ')}, or off` }),
  `some of ${signals.join(', ')}, separated by commas, or off`,
  readSignalSet,
);
export const httpUrl = (example: string) =>
  read(text, `a URL such as ${example}, without user and password`, readHttpUrl);
export const httpUrlOrOff = (example: string) =>
  read(text, `a URL such as ${example}, without user and password, or off`, (raw) =>
    /^off$/i.test(raw) ? ('off' as const) : readHttpUrl(raw),
  );
export const secret = read(text, 'a text of one line', (raw) =>
  /^[\x20-\x7e\u00a0-\uffff]+$/.test(raw) ? raw : undefined,
);
export const count = read(scalar, 'a whole number', (raw) => (/^\d{1,9}$/.test(String(raw)) ? Number(raw) : undefined));
export const shardCount = read(scalar, 'a number from 1 to 64', (raw) =>
  /^[1-9]\d?$/.test(String(raw)) && Number(raw) <= 64 ? Number(raw) : undefined,
);
export const peerNames = read(
  z.union([z.string(), z.array(z.string())], { error: 'host names' }),
  'host names or IP addresses, separated by commas, each with a port where it is not peersPort',
  readPeerNames,
);
export const token = read(text, 'a text of one line without spaces, at least 16 characters', (raw) =>
  /^[\x21-\x7e]{16,4096}$/.test(raw) ? raw : undefined,
);
export const onOff = read(z.union([z.string(), z.boolean()], { error: 'on or off' }), 'on or off', (raw) => {
  if (typeof raw === 'boolean') return raw;
  return /^(on|true)$/i.test(raw) ? true : /^(off|false)$/i.test(raw) ? false : undefined;
});
export const keys = read(
  z.union([z.string(), z.array(z.string())], { error: 'attribute keys' }),
  'attribute keys, separated by commas, or off',
  (raw): readonly string[] | undefined => {
    if (raw === 'off') return [];
    const list = (typeof raw === 'string' ? raw.split(',') : raw).map((key) => key.trim());
    return list.every((key) => key !== '' && !/\p{Cc}/u.test(key)) ? list : undefined;
  },
);
const listed = z.union([z.string(), z.boolean(), z.array(z.string())], { error: 'a list, or off' });
export const chosenKeys = read(listed, 'keys separated by commas, * for all, or off', readChosenKeys);
export const kubernetesAccess = read(
  z.union([z.string(), z.boolean()], { error: 'off, in-cluster, or the path of a kubeconfig' }),
  'off, in-cluster, or the path of a kubeconfig',
  readKubernetesAccess,
);
export const holdMs = read(scalar, `a duration up to ${holdSecondsMax}s such as 2s, or 0`, (raw) => {
  const ms = String(raw) === '0' ? 0 : readDurationMs(String(raw));
  return ms !== undefined && ms <= holdSecondsMax * 1000 ? ms : undefined;
});
export const addressRanges = read(
  listed,
  'addresses and ranges such as 10.0.0.0/8 or fd00::1, separated by commas, or off',
  readAddressRanges,
);
export function oneOf<Name extends string>(...names: readonly Name[]) {
  return read(scalar, `one of ${names.join(', ')}`, (raw) => names.find((name) => name === String(raw)));
}
export function store<Name extends string>(name: Name) {
  const names = ['embedded', name] as const;
  return read(text, `embedded or ${name}`, (raw) => names.find((each) => each === raw));
}
export const logLevel = read(text, `one of ${logLevels.join(', ')}`, (raw) => logLevels.find((level) => level === raw));
