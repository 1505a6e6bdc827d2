import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock } from '../../base/index.ts';
import { type ApiClient, reasonOf } from './api.ts';
import { asArray, asObject, asText, parseJson } from './json.ts';
import { lineBytesMax, pageBytesMax, type Timing } from './limits.ts';
import { Lines } from './lines.ts';

// Follows one resource: lists it, watches it from the list's resource version on, and lists anew where the API server
// has forgotten that version. Source: Kubernetes API concepts, "Efficient detection of changes", "Watch bookmarks",
// "Retrieving large results sets in chunks", "410 Gone responses".

/** What is followed, and who is told. None of the calls may throw for an object of any shape. */
export interface Resource {
  /** As RBAC names it: `pods`. */
  readonly name: string;
  readonly path: string;
  /** Selectors, as `fieldSelector=…`. */
  readonly query?: string;
  /** `metadata`: objects come as PartialObjectMetadata, with nothing but their metadata. */
  readonly form: 'full' | 'metadata';
  /** Objects in one page of a list. */
  readonly pageObjects: number;
  /** The list is enough: what is asked for never changes. */
  readonly once?: boolean;
  /** A list begins: what is not put before it ends is gone. */
  beginListing(): void;
  endListing(): void;
  /** An object is there, as it was or changed. */
  put(object: unknown): void;
  remove(object: unknown): void;
}

/** Why a resource is not followed at the moment. */
export interface Trouble {
  /** `denied`: this process may not read it. `away`: the API server does not answer, or not as it should. */
  readonly kind: 'denied' | 'away';
  readonly message: string;
}

/** What came of one list or one watch. */
type Outcome =
  | { readonly kind: 'done' }
  | { readonly kind: 'expired' }
  | { readonly kind: 'tooLarge' }
  | (Trouble & { readonly afterMs: number | undefined });

interface Page {
  readonly kind: 'page';
  readonly list: Readonly<Record<string, unknown>>;
}

export class ListWatch {
  readonly #api: ApiClient;
  readonly #resource: Resource;
  readonly #timing: Timing;
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  readonly #onTrouble: (trouble: Trouble | undefined) => void;
  readonly #answered = Promise.withResolvers<void>();
  /** Where the next watch starts; undefined: the list is to be read first. */
  #resourceVersion: string | undefined;
  /**
   * The newest that the API server has named, in a list, a probe or a watch. A watch in which nothing comes stays far
   * behind it: a history that began anew has soon passed where that watch would go on, but not this.
   */
  #latestVersion: string | undefined;
  #trouble: Trouble | undefined;
  #pageObjects: number;
  #lists = 0;
  #heardMs: number | undefined;
  /** In a row: since a watch last told something. A list that goes well does not count, as its watch may fail each time. */
  #failures = 0;
  #running: Promise<void> | undefined;

  /** @param onTrouble Told when there is trouble, or one of another kind, and with undefined when there is none any more. */
  constructor(
    api: ApiClient,
    resource: Resource,
    timing: Timing,
    clock: Pick<Clock, 'monotonicMs'>,
    onTrouble: (trouble: Trouble | undefined) => void,
  ) {
    this.#api = api;
    this.#resource = resource;
    this.#timing = timing;
    this.#clock = clock;
    this.#onTrouble = onTrouble;
    this.#pageObjects = resource.pageObjects;
  }

  get name(): string {
    return this.#resource.name;
  }

  /** undefined: all is well, or nothing is known yet. */
  get trouble(): Trouble | undefined {
    return this.#trouble;
  }

  /** Whole lists that were read. */
  get lists(): number {
    return this.#lists;
  }

  /** Monotonic milliseconds of the last word of the API server on this resource. */
  get heardMs(): number | undefined {
    return this.#heardMs;
  }

  /** Settles when the first list was read or the first attempt has failed. */
  get answered(): Promise<void> {
    return this.#answered.promise;
  }

  /** @param cancel Ends it, whatever it is at. */
  start(cancel: AbortSignal): void {
    this.#running ??= this.#run(cancel);
  }

  /** Settles when it has ended. Never rejects. */
  async ended(): Promise<void> {
    await this.#running;
  }

  async #run(cancel: AbortSignal): Promise<void> {
    while (!cancel.aborted) {
      const listing = this.#resourceVersion === undefined;
      const outcome = await this.#attempt(listing, cancel);
      if (cancel.aborted) return;
      let waitMs = 0;
      switch (outcome.kind) {
        case 'done':
          if (!listing) this.#failures = 0;
          break;
        case 'expired':
        case 'tooLarge':
          this.#resourceVersion = undefined;
          if (outcome.kind === 'tooLarge') this.#pageObjects = Math.max(1, this.#pageObjects >> 1);
          // Each follower of the API server meets this at once when it restarts: they spread.
          waitMs = this.#backoffMs(++this.#failures);
          break;
        case 'away':
          this.#enter({ kind: 'away', message: outcome.message });
          waitMs = Math.max(
            this.#backoffMs(++this.#failures),
            Math.min(outcome.afterMs ?? 0, this.#timing.retryAfterMaxMs),
          );
          break;
        case 'denied':
          // Where only watching is denied, it is listed now and then.
          this.#resourceVersion = undefined;
          this.#enter({ kind: 'denied', message: outcome.message });
          // An API server that has just started denies all until it has read its rules.
          waitMs = this.#backoffMs(++this.#failures, this.#timing.deniedMs);
          break;
      }
      this.#answered.resolve();
      if (outcome.kind === 'done' && this.#resource.once === true) return;
      // A rejection is the cancellation; the loop's condition sees it.
      if (waitMs > 0) await sleep(waitMs, undefined, { signal: cancel, ref: false }).catch(() => undefined);
    }
  }

  async #attempt(listing: boolean, cancel: AbortSignal): Promise<Outcome> {
    try {
      return listing ? await this.#list(cancel) : await this.#watch(this.#resourceVersion ?? '', cancel);
    } catch (thrown) {
      // The connection broke while the body came.
      return { kind: 'away', message: reasonOf(thrown), afterMs: undefined };
    }
  }

  async #list(cancel: AbortSignal): Promise<Outcome> {
    this.#resource.beginListing();
    for (let next: string | undefined = ''; next !== undefined; ) {
      const query = new URLSearchParams({
        limit: String(this.#pageObjects),
        ...(next === '' ? {} : { continue: next }),
      });
      const page = await this.#page(this.#pathWith(query), cancel);
      if (page.kind !== 'page') return page;
      for (const item of asArray(page.list['items'])) this.#resource.put(item);
      this.#heard();
      const metadata = asObject(page.list['metadata']);
      next = asText(metadata['continue']);
      // All pages have the resource version of the first.
      if (next === undefined) this.#resourceVersion = asText(metadata['resourceVersion']);
    }
    if (this.#resourceVersion === undefined) {
      return { kind: 'away', message: 'the list has no resource version', afterMs: undefined };
    }
    this.#latestVersion = this.#resourceVersion;
    this.#resource.endListing();
    this.#lists++;
    // That it may be listed does not say that it may be watched: there the trouble ends.
    if (this.#resource.once === true) this.#enter(undefined);
    return { kind: 'done' };
  }

  async #page(path: string, cancel: AbortSignal): Promise<Outcome | Page> {
    const deadline = new AbortController();
    const timer = setTimeout(() => deadline.abort(), this.#timing.pageMs);
    try {
      const page = await this.#readPage(path, AbortSignal.any([cancel, deadline.signal])).catch(
        (thrown: unknown): Outcome => ({ kind: 'away', message: reasonOf(thrown), afterMs: undefined }),
      );
      if (page.kind !== 'away' || !deadline.signal.aborted) return page;
      const message = `a page of the list takes more than ${this.#timing.pageMs / 1000} s`;
      return { kind: 'away', message, afterMs: undefined };
    } finally {
      clearTimeout(timer);
    }
  }

  async #readPage(path: string, cancel: AbortSignal): Promise<Outcome | Page> {
    const answer = await this.#api.get(path, this.#accept('List'), this.#timing.answerMs, cancel);
    if (answer.kind !== 'ok') return outcomeOf(answer);
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of answer.body as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      // Leaving the loop destroys the body.
      if (bytes > pageBytesMax) {
        if (this.#pageObjects > 1) return { kind: 'tooLarge' };
        return { kind: 'away', message: `one object has more than ${pageBytesMax} bytes`, afterMs: undefined };
      }
      chunks.push(chunk);
    }
    const list = parseJson(Buffer.concat(chunks, bytes).toString());
    if (list === undefined) return { kind: 'away', message: 'the list is not JSON', afterMs: undefined };
    return { kind: 'page', list: asObject(list) };
  }

  async #watch(resourceVersion: string, cancel: AbortSignal): Promise<Outcome> {
    const { watchMs, answerMs, watchIdleMs, watchShortMs } = this.#timing;
    const seconds = Math.ceil((watchMs * (1 + Math.random())) / 1000);
    const query = new URLSearchParams({
      watch: 'true',
      resourceVersion,
      allowWatchBookmarks: 'true',
      timeoutSeconds: String(seconds),
    });
    const startMs = this.#clock.monotonicMs();
    const answer = await this.#api.get(this.#pathWith(query), this.#accept(''), answerMs, cancel);
    if (answer.kind !== 'ok') return outcomeOf(answer);
    answer.body.socket.setTimeout(watchIdleMs);
    this.#enter(undefined);
    let heard = false;
    // An API server that does not end the watch itself, but drips.
    const timer = setTimeout(() => answer.body.destroy(), seconds * 1000 + answerMs);
    const lines = new Lines(lineBytesMax);
    try {
      for await (const chunk of answer.body as AsyncIterable<Buffer>) {
        const complete = lines.push(chunk);
        if (complete === 'tooLong') {
          this.#resourceVersion = undefined;
          return {
            kind: 'away',
            message: `a line of the watch has more than ${lineBytesMax} bytes`,
            afterMs: undefined,
          };
        }
        for (const line of complete) {
          const outcome = this.#event(line);
          if (outcome !== undefined) return outcome;
          heard = true;
        }
      }
    } catch (thrown) {
      // A connection that breaks after a while, or falls silent, is no failure in a row: the next watch shows.
      if (this.#clock.monotonicMs() - startMs < watchShortMs) throw thrown;
    } finally {
      clearTimeout(timer);
    }
    if (this.#clock.monotonicMs() - startMs < watchShortMs) {
      return { kind: 'away', message: 'the watch ended at once', afterMs: undefined };
    }
    return heard ? { kind: 'done' } : this.#probe(cancel);
  }

  /**
   * After a watch in which nothing came: is there an API server, and does it know the newest version that it has named?
   * One that was restored from a backup waits with all that it has to tell until it comes to the watch's version, and
   * when it has passed that, it tells nothing of what was before. Not all of them send bookmarks for what never changes,
   * so that silence alone is no reason to list anew.
   */
  async #probe(cancel: AbortSignal): Promise<Outcome> {
    const page = await this.#page(this.#pathWith(new URLSearchParams({ limit: '1' })), cancel);
    if (page.kind !== 'page') return page;
    this.#heard();
    const version = asText(asObject(page.list['metadata'])['resourceVersion']);
    if (version === undefined) return { kind: 'done' };
    if (isBefore(version, this.#latestVersion)) return { kind: 'expired' };
    this.#latestVersion = version;
    return { kind: 'done' };
  }

  /** @returns undefined: the watch goes on. */
  #event(line: string): Outcome | undefined {
    const event = asObject(parseJson(line));
    const object = asObject(event['object']);
    switch (event['type']) {
      case 'ADDED':
      case 'MODIFIED':
        this.#resource.put(object);
        break;
      case 'DELETED':
        this.#resource.remove(object);
        break;
      case 'BOOKMARK':
        break;
      case 'ERROR': {
        // Mostly 410; what else there is leaves unknown what was missed.
        if (object['code'] === 410) return { kind: 'expired' };
        this.#resourceVersion = undefined;
        return { kind: 'away', message: asText(object['message']) ?? 'the watch failed', afterMs: undefined };
      }
      default:
        this.#resourceVersion = undefined;
        return { kind: 'away', message: 'a line of the watch is no event', afterMs: undefined };
    }
    this.#heard();
    this.#failures = 0;
    const version = asText(asObject(object['metadata'])['resourceVersion']);
    // Versions only grow, but after a restored backup.
    if (version !== undefined && isBefore(version, this.#resourceVersion)) return { kind: 'expired' };
    this.#resourceVersion = version ?? this.#resourceVersion;
    if (isBefore(this.#latestVersion ?? '0', version)) this.#latestVersion = version;
    return undefined;
  }

  #heard(): void {
    this.#heardMs = this.#clock.monotonicMs();
  }

  #enter(trouble: Trouble | undefined): void {
    const before = this.#trouble;
    this.#trouble = trouble;
    if (before?.kind !== trouble?.kind) this.#onTrouble(trouble);
  }

  #backoffMs(failures: number, maxMs = this.#timing.backoffMaxMs): number {
    return Math.min(maxMs, this.#timing.backoffBaseMs * 2 ** Math.min(failures, 20)) * (0.5 + Math.random() / 2);
  }

  #pathWith(query: URLSearchParams): string {
    const { path, query: selectors } = this.#resource;
    return `${path}?${selectors === undefined ? '' : `${selectors}&`}${query}`;
  }

  #accept(suffix: '' | 'List'): string {
    return this.#resource.form === 'full'
      ? 'application/json'
      : `application/json;as=PartialObjectMetadata${suffix};g=meta.k8s.io;v=v1`;
  }
}

function outcomeOf(
  answer:
    | {
        readonly kind: 'refused';
        readonly status: number;
        readonly message: string;
        readonly retryAfterMs: number | undefined;
      }
    | { readonly kind: 'broken'; readonly message: string },
): Outcome {
  if (answer.kind === 'broken') return { kind: 'away', message: answer.message, afterMs: undefined };
  switch (answer.status) {
    case 410:
      return { kind: 'expired' };
    case 403:
      return { kind: 'denied', message: answer.message, afterMs: undefined };
    default:
      // 401 among them: the token may just be rotating, and the next attempt reads it anew.
      return { kind: 'away', message: answer.message, afterMs: answer.retryAfterMs };
  }
}

/** Source: Kubernetes API concepts, "Resource versions": decimal numbers without leading zeros, of any length. */
function isBefore(version: string, other: string | undefined): boolean {
  if (other === undefined || !/^\d+$/.test(version) || !/^\d+$/.test(other)) return false;
  return version.length === other.length ? version < other : version.length < other.length;
}
