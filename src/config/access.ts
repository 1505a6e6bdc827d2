import type { Origin } from './load.ts';
import type { AccessSettings } from './schema.ts';
import { readSmallFile } from './small-file.ts';
import { readHeaderList } from './values.ts';

/** What a client needs to be let in: `stores/contract.ts` names it `Access`. */
export interface AccessConfig {
  /** Names in lower case; `authorization` is among them. Secret. */
  readonly headers: Readonly<Record<string, string>>;
  /** PEM. `key` is secret. */
  readonly tls: { readonly ca?: string; readonly cert?: string; readonly key?: string } | undefined;
}

export interface AccessGiven {
  /** Key path of the destination's group, such as `prometheus`. */
  readonly group: string;
  readonly settings: AccessSettings;
  /** Names of the two settings of headers. */
  readonly headersPath: string;
  readonly headersFilePath: string;
  readonly headers: Readonly<Record<string, string>> | undefined;
  readonly headersFile: string | undefined;
  /** How an API key is sent. */
  readonly apiKeyHeader: (key: string) => readonly [name: string, value: string];
  /** undefined: relative paths stay; the caller has made them absolute. */
  readonly absolute: (path: string) => string;
  readonly origin: (path: string) => Origin;
  /** Whether a URL of this destination is `https://`. */
  readonly encrypted: boolean;
}

/** Reads the files that are named and puts the headers together. Pushes a problem for each contradiction, never a secret. */
export function resolveAccess(given: AccessGiven, problems: string[]): AccessConfig {
  const { group, settings } = given;
  const at = (key: string) => `${group}.${key}`;
  const problem = (path: string, text: string) => problems.push(`${path} (${given.origin(path)}): ${text}`);
  const file = (path: string, name: string | undefined): string | undefined => {
    if (name === undefined) return undefined;
    const absolute = given.absolute(name);
    const content = readSmallFile(absolute);
    if (typeof content === 'string') return content;
    problem(path, `${absolute} ${content.why}`);
    return undefined;
  };
  const either = (path: string, value: unknown, otherPath: string, other: unknown) => {
    if (value !== undefined && other !== undefined) {
      problem(otherPath, `expected either this or ${path} (${given.origin(path)}), not both`);
    }
  };
  /** A secret that stands in the settings or, alone, in a file; a line break at its end is not part of it. */
  const secret = (key: 'password' | 'bearerToken' | 'apiKey'): string | undefined => {
    const fileKey = `${key}File` as const;
    either(at(key), settings[key], at(fileKey), settings[fileKey]);
    const content = file(at(fileKey), settings[fileKey])?.replace(/\r?\n$/, '');
    if (content !== undefined && !/^[\x20-\x7e\u00a0-\uffff]+$/.test(content)) {
      problem(at(fileKey), 'expected a file with one line, the secret');
      return undefined;
    }
    return settings[key] ?? content;
  };

  either(given.headersPath, given.headers, given.headersFilePath, given.headersFile);
  const listed = file(given.headersFilePath, given.headersFile);
  const fromFile = listed === undefined ? undefined : readHeaderList(listed);
  if (listed !== undefined && fromFile === undefined) {
    problem(given.headersFilePath, `expected name=value, one or more to a line, in ${given.headersFile}`);
  }
  const headers: Record<string, string> = { ...(fromFile ?? given.headers) };

  const ways: { path: string; header: readonly [string, string] }[] = [];
  const password = secret('password');
  if (settings.username !== undefined || password !== undefined) {
    const basic = Buffer.from(`${settings.username ?? ''}:${password ?? ''}`).toString('base64');
    ways.push({ path: at('username'), header: ['authorization', `Basic ${basic}`] });
    if (settings.username === undefined) problem(at('password'), `expected ${at('username')} beside it`);
    else if (settings.username.includes(':')) problem(at('username'), 'expected a name without a colon');
  }
  const bearer = secret('bearerToken');
  if (bearer !== undefined) ways.push({ path: at('bearerToken'), header: ['authorization', `Bearer ${bearer}`] });
  const apiKey = secret('apiKey');
  if (apiKey !== undefined) ways.push({ path: at('apiKey'), header: given.apiKeyHeader(apiKey) });
  for (const [index, { path, header }] of ways.entries()) {
    const [name, value] = header;
    const same = ways.slice(0, index).find((other) => other.header[0] === name);
    if (same !== undefined) problem(path, `expected either this or ${same.path}, not both: each is the header ${name}`);
    else if (headers[name] !== undefined)
      problem(path, `expected either this or the header ${name} in ${given.headersPath}, not both`);
    else headers[name] = value;
  }

  const { caFile, certFile, keyFile } = settings.tls;
  for (const [key, name] of Object.entries(settings.tls)) {
    if (name !== undefined && !given.encrypted) problem(at(`tls.${key}`), 'expected an https:// address beside it');
  }
  if ((certFile === undefined) !== (keyFile === undefined)) {
    const [one, other] = certFile === undefined ? ['tls.keyFile', 'tls.certFile'] : ['tls.certFile', 'tls.keyFile'];
    problem(at(one), `expected ${at(other)} beside it`);
  }
  const pem = (key: 'caFile' | 'certFile' | 'keyFile', kind: RegExp, expected: string) => {
    const content = file(at(`tls.${key}`), settings.tls[key]);
    if (content !== undefined && !kind.test(content)) problem(at(`tls.${key}`), `expected ${expected} in PEM form`);
    return content;
  };
  const ca = pem('caFile', /-----BEGIN CERTIFICATE-----/, 'certificates');
  const cert = pem('certFile', /-----BEGIN CERTIFICATE-----/, 'a certificate');
  const key = pem('keyFile', /-----BEGIN [A-Z ]*PRIVATE KEY-----/, 'a private key');
  const hasTls = (caFile ?? certFile ?? keyFile) !== undefined;
  return {
    headers,
    tls: hasTls
      ? {
          ...(ca === undefined ? {} : { ca }),
          ...(cert === undefined ? {} : { cert }),
          ...(key === undefined ? {} : { key }),
        }
      : undefined,
  };
}

/** Whether anything of a destination's group is set. */
export function accessIsGiven(settings: AccessSettings): boolean {
  const { tls, ...plain } = settings;
  return [...Object.values(plain), ...Object.values(tls)].some((value) => value !== undefined);
}
