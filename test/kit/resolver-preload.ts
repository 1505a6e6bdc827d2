import dns from 'node:dns';
import { readFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

// Loaded into the process under test and into its threads: `dns.lookup`, which stands for the system's resolver, answers for
// names below .watchingcat.test from a file. Sockets and all that asks are as they are.

const file = new URL(new URL(import.meta.url).searchParams.get('names') ?? '');
const suffix = '.watchingcat.test';
const system = dns.lookup;
const systemPromises = dns.promises.lookup;

type Options = { readonly all?: boolean };

function answer(hostname: string, options: Options): dns.LookupAddress[] | dns.LookupAddress {
  const names = JSON.parse(readFileSync(file, 'utf8')) as Record<string, string[]>;
  const found = (names[hostname] ?? []).map((address) => ({ address, family: 4 }));
  const [first] = found;
  if (first === undefined) {
    const code = 'ENOTFOUND';
    throw Object.assign(new Error(`getaddrinfo ${code} ${hostname}`), { code, syscall: 'getaddrinfo', hostname });
  }
  return options.all === true ? found : first;
}

type Callback = (error: Error | null, address?: string | dns.LookupAddress[], family?: number) => void;

function lookup(hostname: string, given: Options | number | Callback, done?: Callback): void {
  const callback = (typeof given === 'function' ? given : done) as Callback;
  if (!hostname.endsWith(suffix)) {
    (system as (...all: unknown[]) => void)(
      ...(done === undefined ? [hostname, callback] : [hostname, given, callback]),
    );
    return;
  }
  queueMicrotask(() => {
    let found: dns.LookupAddress[] | dns.LookupAddress;
    try {
      found = answer(hostname, typeof given === 'object' ? given : {});
    } catch (error) {
      callback(error as Error);
      return;
    }
    if (Array.isArray(found)) callback(null, found);
    else callback(null, found.address, found.family);
  });
}

async function lookupPromise(hostname: string, options: Options | number = {}): Promise<unknown> {
  if (!hostname.endsWith(suffix)) return (systemPromises as (...all: unknown[]) => unknown)(hostname, options);
  return answer(hostname, typeof options === 'object' ? options : {});
}

Object.assign(dns, { lookup });
Object.assign(dns.promises, { lookup: lookupPromise });
syncBuiltinESMExports();
