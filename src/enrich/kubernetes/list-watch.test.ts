import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ApiServer, type Interception } from '../../../test/kit/api-server.ts';
import { systemClock } from '../../base/index.ts';
import { noCredentials } from './access.ts';
import { ApiClient } from './api.ts';
import { asObject, asText } from './json.ts';
import { lineBytesMax, pageBytesMax, type Timing, timing } from './limits.ts';
import { Lines } from './lines.ts';
import { ListWatch, type Trouble } from './list-watch.ts';

const path = '/api/v1/things';
const quick: Timing = { ...timing, watchShortMs: 0, backoffBaseMs: 5, backoffMaxMs: 20, deniedMs: 20 };

let api: ApiServer;
let cancel: AbortController;
let following: ListWatch;
let present: Map<string, string>;
let troubles: (Trouble | undefined)[];

beforeEach(async () => {
  api = await ApiServer.start();
  cancel = new AbortController();
  present = new Map();
  troubles = [];
});
afterEach(async () => {
  cancel.abort();
  await following.ended();
  await api.stop();
});

/** Keeps the names of what is there; what a list does not name any more goes. */
function follow(timings: Partial<Timing> = {}, pageObjects = 100): void {
  let listed = new Set<string>();
  const client = new ApiClient({ server: api.url, credentials: async () => noCredentials });
  const metadata = (object: unknown) => asObject(asObject(object)['metadata']);
  following = new ListWatch(
    client,
    {
      name: 'things',
      path,
      query: 'labelSelector=a%3Db',
      form: 'full',
      pageObjects,
      beginListing: () => {
        listed = new Set();
      },
      endListing: () => {
        for (const uid of present.keys()) if (!listed.has(uid)) present.delete(uid);
      },
      put: (object) => {
        const uid = asText(metadata(object)['uid']) ?? '';
        listed.add(uid);
        present.set(uid, asText(metadata(object)['name']) ?? '');
      },
      remove: (object) => {
        present.delete(asText(metadata(object)['uid']) ?? '');
      },
    },
    { ...quick, ...timings },
    systemClock,
    (trouble) => troubles.push(trouble),
  );
  following.start(cancel.signal);
}

const put = (name: string, uid = name) => api.put(path, { metadata: { name, uid } });
const names = () => [...present.values()].join(' ');
const eventually = (condition: () => boolean) => vi.waitUntil(condition, { timeout: 15_000, interval: 2 });
const watched = () => eventually(() => api.watching(path) > 0 && following.trouble === undefined);

describe('all well', () => {
  it('a list is read in pages, and watched from its resource version on', async () => {
    for (const name of ['a', 'b', 'c', 'd', 'e']) put(name);
    const { version } = api;
    follow({}, 2);
    await watched();
    expect(names()).toBe('a b c d e');
    expect(api.lists(path).map(({ query }) => [query.get('limit'), query.get('continue')])).toEqual([
      ['2', null],
      ['2', '2'],
      ['2', '4'],
    ]);
    const [watch] = api.watches(path);
    expect(Object.fromEntries(watch?.query ?? [])).toEqual({
      labelSelector: 'a=b',
      watch: 'true',
      resourceVersion: version,
      allowWatchBookmarks: 'true',
      timeoutSeconds: expect.stringMatching(/^(3\d\d|[45]\d\d|600)$/),
    });
    expect(following.lists).toBe(1);
  });

  it('what comes, changes and goes is told', async () => {
    put('a');
    follow();
    await watched();
    put('b');
    put('A', 'a');
    await eventually(() => names() === 'A b');
    api.delete(path, 'a');
    await eventually(() => names() === 'b');
  });

  it('a watch that the API server ends goes on from its last event, without a list', async () => {
    follow();
    await watched();
    put('a');
    await eventually(() => names() === 'a');
    const { version } = api;
    api.cut(path, 'end');
    await watched();
    expect(api.watches(path).at(-1)?.query.get('resourceVersion')).toBe(version);
    expect(api.lists(path)).toHaveLength(1);
    expect(troubles).toEqual([]);
  });

  it('and from its last bookmark', async () => {
    follow();
    await watched();
    api.bookmark(path);
    const { version } = api;
    put('after');
    await eventually(() => names() === 'after');
    api.delete(path, 'after');
    api.bookmark(path);
    await eventually(() => names() === '');
    const last = api.version;
    expect(last).not.toBe(version);
    // The bookmark comes after what was seen to be gone.
    await new Promise((resolve) => setTimeout(resolve, 20));
    api.cut(path, 'end');
    await watched();
    expect(api.watches(path).at(-1)?.query.get('resourceVersion')).toBe(last);
  });
});

describe('410 Gone', () => {
  async function reread(): Promise<void> {
    await eventually(() => following.lists === 2);
    await watched();
    expect(names()).toBe('kept new');
    expect(troubles).toEqual([]);
  }
  async function listed(): Promise<void> {
    put('gone');
    put('kept');
    follow();
    await watched();
    expect(names()).toBe('gone kept');
  }

  it('as the answer to a watch', async () => {
    await listed();
    api.cut(path, 'reset');
    api.delete(path, 'gone');
    put('new');
    api.compact();
    await reread();
  });

  it('as an event', async () => {
    await listed();
    const error = {
      kind: 'Status',
      status: 'Failure',
      reason: 'Expired',
      code: 410,
      message: 'too old resource version',
    };
    // What the watch would have told of is lost.
    api.intercept = (_, response) => {
      ApiServer.refuse(response, 410, 'too old');
      return true;
    };
    api.cut(path, 'end');
    api.delete(path, 'gone');
    put('new');
    api.intercept = undefined;
    await watched();
    api.send(path, `${JSON.stringify({ type: 'ERROR', object: error })}\n`);
    await reread();
  });

  it('in the middle of a list: it begins anew', async () => {
    for (const name of ['a', 'b', 'c']) put(name);
    let refusals = 1;
    api.intercept = ({ query }, response) => {
      if (!query.has('continue') || refusals-- <= 0) return false;
      ApiServer.refuse(response, 410, 'The provided continue parameter is too old');
      return true;
    };
    follow({}, 2);
    await watched();
    expect(names()).toBe('a b c');
    expect(api.lists(path).map(({ query }) => query.get('continue'))).toEqual([null, '2', null, '2']);
  });

  it('again and again makes the next attempts rarer', async () => {
    api.intercept = ({ query }, response) => {
      if (!query.has('watch')) return false;
      ApiServer.refuse(response, 410, 'too old');
      return true;
    };
    follow({ backoffBaseMs: 40, backoffMaxMs: 10_000 });
    await eventually(() => following.lists === 4);
    const begunMs = performance.now();
    await eventually(() => following.lists === 5);
    // The fourth wait is at least half of 40 ms · 2^4.
    expect(performance.now() - begunMs).toBeGreaterThan(250);
  });
});

describe('a connection', () => {
  it('that breaks in the middle of a line: the half is not used, and the watch goes on where it was', async () => {
    follow();
    await watched();
    put('a');
    await eventually(() => names() === 'a');
    const { version } = api;
    const half = JSON.stringify({
      type: 'ADDED',
      object: { metadata: { name: 'half', uid: 'half', resourceVersion: '9' } },
    });
    api.send(path, half);
    api.cut(path, 'reset');
    await eventually(() => api.watches(path).length === 2);
    expect(api.watches(path)[1]?.query.get('resourceVersion')).toBe(version);
    put('b');
    await eventually(() => names() === 'a b');
    expect(api.lists(path)).toHaveLength(1);
  });

  it('that drips: bytes come one by one, in the middle of characters', async () => {
    follow();
    await watched();
    const object = { metadata: { name: 'grüße 🐱', uid: 'a', resourceVersion: '5000' } };
    for (const byte of Buffer.from(`${JSON.stringify({ type: 'ADDED', object })}\n`)) {
      api.send(path, Buffer.of(byte));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await eventually(() => names() === 'grüße 🐱');
  });

  const silent: Interception = ({ query }, response) => {
    if (!query.has('watch')) return false;
    response.writeHead(200);
    response.flushHeaders();
    return true;
  };

  it('on which nothing ever comes is given up, and there is no list for that', async () => {
    put('a');
    follow({ watchIdleMs: 60 });
    await watched();
    api.intercept = silent;
    await eventually(() => api.watches(path).length >= 4);
    expect(following.lists).toBe(1);
    expect(
      new Set(
        api
          .lists(path)
          .slice(1)
          .map(({ query }) => query.get('limit')),
      ),
    ).toEqual(new Set(['1']));
    expect(troubles).toEqual([]);
    api.intercept = undefined;
    put('b');
    await eventually(() => names() === 'a b');
  });

  it('to an API server that was restored from a backup, and says nothing until it is where it was: a list', async () => {
    put('a');
    api.intercept = silent;
    follow({ watchIdleMs: 60 });
    await eventually(() => names() === 'a' && api.watches(path).length === 1);
    const lists: (string | null)[] = [];
    api.intercept = (seen, response) => {
      if (silent(seen, response)) return true;
      lists.push(seen.query.get('limit'));
      response.end(
        JSON.stringify({ metadata: { resourceVersion: '7' }, items: [{ metadata: { name: 'old', uid: 'o' } }] }),
      );
      return true;
    };
    await eventually(() => names() === 'old');
    expect(lists.slice(0, 2)).toEqual(['1', '100']);
    expect(troubles).toEqual([]);
  });

  it('to one that was restored and has passed where the watch began, unseen: a list', async () => {
    put('a');
    const probe = (version: number): Interception => {
      return (seen, response) => {
        if (silent(seen, response)) return true;
        const items = [{ metadata: { name: `at ${version}`, uid: String(version) } }];
        response.end(JSON.stringify({ metadata: { resourceVersion: String(version) }, items }));
        return true;
      };
    };
    api.intercept = silent;
    follow({ watchIdleMs: 60 });
    await eventually(() => names() === 'a' && api.watches(path).length === 1);
    const probed = () => api.lists(path).filter(({ query }) => query.get('limit') === '1').length;
    // The cluster lives on in other resources, then begins anew and comes further than the list was.
    api.intercept = probe(9_000);
    await eventually(() => probed() >= 2);
    expect(names()).toBe('a');
    api.intercept = probe(5_000);
    await eventually(() => names() === 'at 5000');
    expect(troubles).toEqual([]);
    const { lists } = following;
    const before = probed();
    await eventually(() => probed() >= before + 3);
    expect(following.lists).toBe(lists);
  });

  it('that is silent to an API server that is away is trouble', async () => {
    put('a');
    api.intercept = silent;
    follow({ watchIdleMs: 60, answerMs: 60 });
    await eventually(() => api.watches(path).length === 1);
    api.intercept = () => true;
    await eventually(() => following.trouble !== undefined);
    expect(troubles).toEqual([{ kind: 'away', message: 'the API server has fallen silent' }]);
  });

  it('on which nothing is answered is given up', async () => {
    let silent = true;
    api.intercept = () => silent;
    follow({ answerMs: 50 });
    await eventually(() => troubles.length > 0);
    expect(troubles[0]).toEqual({ kind: 'away', message: 'the API server has fallen silent' });
    silent = false;
    await watched();
    expect(troubles.at(-1)).toBeUndefined();
  });

  it('on which a list stops half-way is given up, and so is one that never ends', async () => {
    let how: 'stops' | 'drips' | undefined = 'stops';
    api.intercept = (_, response) => {
      if (how === undefined) return false;
      response.writeHead(200);
      response.write('{"items": [');
      if (how === 'drips') {
        const timer = setInterval(() => response.write(' '), 5);
        response.on('close', () => clearInterval(timer));
      }
      return true;
    };
    put('a');
    follow({ answerMs: 60, pageMs: 300 });
    await eventually(() => troubles.length > 0);
    how = 'drips';
    await eventually(() => following.trouble?.message === 'a page of the list takes more than 0.3 s');
    how = undefined;
    await watched();
    expect(names()).toBe('a');
  });
});

describe('an answer', () => {
  it.each([
    ['403', 403, 'denied', '403 no'],
    ['401: a token may be rotating', 401, 'away', '401 no'],
    ['404', 404, 'away', '404 no'],
    ['500', 500, 'away', '500 no'],
  ] as const)('%s: the trouble is told once, and it is asked again', async (_, status, kind, message) => {
    let refusals = 3;
    api.intercept = (_, response) => {
      if (refusals-- <= 0) return false;
      ApiServer.refuse(response, status, 'no');
      return true;
    };
    follow();
    await watched();
    expect(troubles).toEqual([{ kind, message }, undefined]);
  });

  it('429 is held to its Retry-After', async () => {
    let atMs = 0;
    api.intercept = (_, response) => {
      if (atMs > 0) return false;
      atMs = performance.now();
      ApiServer.refuse(response, 429, 'slow down', { 'retry-after': '1' });
      return true;
    };
    follow();
    await watched();
    expect(performance.now() - atMs).toBeGreaterThan(990);
  });

  it.each([
    ['a page of another server', '<html></html>', 'the list is not JSON'],
    ['another JSON', '[]', 'the list has no resource version'],
  ])('that is %s is trouble', async (_, body, message) => {
    let done = false;
    api.intercept = (_, response) => {
      if (done) return false;
      response.end(body);
      return true;
    };
    follow();
    await eventually(() => troubles.length > 0);
    expect(troubles).toEqual([{ kind: 'away', message }]);
    done = true;
    await watched();
  });

  it('to a watch that is no event: the list is read again', async () => {
    follow();
    await watched();
    api.send(path, 'garbage\n');
    await eventually(() => following.lists === 2);
    expect(troubles[0]).toEqual({ kind: 'away', message: 'a line of the watch is no event' });
  });

  it.each([
    ['999', '1000', 'read again'],
    ['99999', '100000', 'read again'],
    ['100000', '99999', 'not'],
    ['abc', '1000', 'not'],
  ])('to a watch with the version %s after %s: the list is %s', async (version, before, expected) => {
    const bookmark = (resourceVersion: string) =>
      `${JSON.stringify({ type: 'BOOKMARK', object: { metadata: { resourceVersion } } })}\n`;
    api.intercept = ({ query }, response) => {
      if (query.has('watch')) return false;
      response.end(JSON.stringify({ metadata: { resourceVersion: '1' }, items: [] }));
      return true;
    };
    follow();
    await watched();
    api.send(path, bookmark(before));
    api.send(path, bookmark(version));
    put('mark');
    await eventually(() => following.lists === 2 || names() === 'mark');
    expect(following.lists).toBe(expected === 'not' ? 1 : 2);
    expect(troubles).toEqual([]);
  });

  it('to a watch that is denied: it is listed now and then instead', async () => {
    api.intercept = ({ query }, response) => {
      if (!query.has('watch')) return false;
      ApiServer.refuse(response, 403, 'cannot watch');
      return true;
    };
    put('a');
    follow();
    await eventually(() => troubles.length > 0);
    put('b');
    await eventually(() => names() === 'a b');
    await eventually(() => following.lists > 3);
    expect(troubles).toEqual([{ kind: 'denied', message: '403 cannot watch' }]);
  });

  it('that is too large: pages become smaller', async () => {
    for (const name of ['a', 'b', 'c', 'd']) put(name);
    api.intercept = ({ query }, response) => {
      if (Number(query.get('limit')) < 2) return false;
      response.write(Buffer.alloc(pageBytesMax + 1, ' '));
      response.end('{}');
      return true;
    };
    follow({}, 4);
    await watched();
    expect(names()).toBe('a b c d');
    expect(api.lists(path).map(({ query }) => query.get('limit'))).toEqual(['4', '2', '1', '1', '1', '1']);
    expect(troubles).toEqual([]);
  });

  it('with a line without end is not waited for', async () => {
    follow();
    await watched();
    api.send(path, Buffer.alloc(lineBytesMax + 1, 'x'));
    await eventually(() => following.lists === 2);
    expect(troubles[0]?.message).toBe(`a line of the watch has more than ${lineBytesMax} bytes`);
  });

  it('to a watch that ends at once each time is not asked for at full speed', async () => {
    api.intercept = ({ query }, response) => {
      if (query.has('watch')) response.end();
      return query.has('watch');
    };
    follow({ watchShortMs: 1_000, backoffBaseMs: 100, backoffMaxMs: 10_000 });
    await eventually(() => troubles.some((each) => each?.message === 'the watch ended at once'));
    await new Promise((resolve) => setTimeout(resolve, 500));
    // Waits of 100, 200 and 400 ms at least.
    expect(api.watches(path).length).toBeLessThanOrEqual(3);
  });
});

describe('lines', () => {
  it('come out whole, however they were cut', () => {
    const text = '{"a":1}\n\n{"ü":"🐱"}\nrest';
    const bytes = Buffer.from(text);
    for (let first = 0; first <= bytes.length; first++) {
      for (let second = first; second <= bytes.length; second++) {
        const lines = new Lines(100);
        const out = [bytes.subarray(0, first), bytes.subarray(first, second), bytes.subarray(second)].flatMap((piece) =>
          lines.push(piece),
        );
        expect(out).toEqual(['{"a":1}', '{"ü":"🐱"}']);
      }
    }
  });

  it.each([
    ['in one piece', ['12345\n']],
    ['in pieces', ['123', '45']],
    ['in pieces with its end', ['123', '45\n']],
  ])('over the bound are told %s', (_, pieces) => {
    const lines = new Lines(4);
    expect(pieces.map((piece) => lines.push(Buffer.from(piece))).at(-1)).toBe('tooLong');
    expect(new Lines(5).push(Buffer.from('12345\n'))).toEqual(['12345']);
  });
});
