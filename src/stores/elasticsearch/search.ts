import { setTimeout as sleep } from 'node:timers/promises';
import { type Clock, Fault } from '../../base/index.ts';
import type { Client } from './client.ts';
import {
  queryTimeMaxMs,
  rowAnswerBytesMax,
  searchAnswerBytesMax,
  startingAttemptsMax,
  startingPauseMs,
} from './limits.ts';
import type { Source } from './rows.ts';
import { indexPattern } from './schema.ts';
import { printable } from './verdict.ts';

// One question of `_search`, within the time of its query, and what the answer leaves out.

export interface Found {
  readonly hits: readonly { readonly _source: Source }[];
  /** Of `track_total_hits`. */
  readonly total: number;
  readonly aggregations: { readonly [name: string]: Aggregation | undefined };
}

export interface Aggregation {
  readonly buckets?: readonly Bucket[];
  readonly sum_other_doc_count?: number;
  readonly doc_count?: number;
  readonly hits?: { readonly hits: readonly { readonly _source: Source }[] };
  /** Sub-aggregations by their names. */
  readonly [name: string]: unknown;
}

export interface Bucket {
  readonly key: string | number;
  readonly doc_count: number;
  readonly [name: string]: unknown;
}

/** Thrown where Elasticsearch refuses a query as such. */
export class QueryRefused extends Error {}

/** One query of ours, of as many searches as it takes: its time, and what its answers lack. */
export class Asking {
  readonly warnings: string[] = [];
  readonly #client: Client;
  readonly #clock: Clock;
  readonly #endMs: number;
  readonly #cancel: AbortSignal;

  constructor(client: Client, clock: Clock, cancel: AbortSignal, timeMs = queryTimeMaxMs) {
    this.#client = client;
    this.#clock = clock;
    this.#endMs = clock.monotonicMs() + timeMs;
    this.#cancel = cancel;
  }

  warn(text: string): void {
    if (!this.warnings.includes(text)) this.warnings.push(text);
  }

  get isOver(): boolean {
    return this.#clock.monotonicMs() >= this.#endMs;
  }

  /**
   * @param body  As `_search` takes it.
   * @param alone Whether it asks for a single row, which may be as large as a record can be.
   * @returns undefined where the answer is larger than we take: ask for fewer rows.
   * @throws Fault `unavailable`, `tooSlow`; QueryRefused.
   */
  async search(body: object, alone = false): Promise<Found | undefined> {
    for (let attempt = 1; ; attempt++) {
      const answer = await this.#ask(body, alone);
      if (answer === undefined) return undefined;
      // The index of a day that has just begun: its shard starts within moments.
      const { status, body: text } = answer;
      if (status !== 503 || attempt > startingAttemptsMax || this.isOver) return this.#found(status, text);
      await sleep(startingPauseMs);
      this.#cancel.throwIfAborted();
    }
  }

  async #ask(body: object, alone: boolean): Promise<{ status: number; body: string } | undefined> {
    const leftMs = Math.max(1, Math.ceil(this.#endMs - this.#clock.monotonicMs()));
    const answer = await this.#client.call(
      {
        method: 'POST',
        path: `/${indexPattern}/_search?ignore_unavailable=true&allow_no_indices=true`,
        // Its own bound comes first, so that what was found by then is told.
        body: { timeout: `${leftMs}ms`, ...body },
        timeoutMs: leftMs + 2_000,
        answerBytesMax: alone ? rowAnswerBytesMax : searchAnswerBytesMax,
      },
      this.#cancel,
    );
    switch (answer.kind) {
      case 'tooLong':
        return undefined;
      case 'timeout':
        throw new Fault(
          'tooSlow',
          'Elasticsearch has not answered in the time for one query; narrow the time range or the conditions',
        );
      case 'broken':
        throw new Fault('unavailable', `Elasticsearch cannot be asked: ${answer.reason}`, { retryAfterMs: 5_000 });
      case 'answer':
        return answer;
    }
  }

  #found(status: number, text: string): Found {
    let body: SearchAnswer;
    try {
      body = JSON.parse(text) as SearchAnswer;
    } catch {
      throw new Fault('unavailable', `Elasticsearch answers HTTP ${status} and no JSON`, { retryAfterMs: 5_000 });
    }
    if (status !== 200) {
      const type = body.error?.root_cause?.[0]?.type ?? body.error?.type ?? '';
      if (status === 400) throw new QueryRefused(`HTTP 400 ${printable(type)}`);
      throw new Fault('unavailable', `Elasticsearch answers HTTP ${status} ${printable(type)}`.trim(), {
        retryAfterMs: 5_000,
      });
    }
    if (body.timed_out) this.warn('the time for one query was used up; narrow the time range or the conditions');
    const { failed = 0, total = 0, failures = [] } = body._shards ?? {};
    if (failed > 0) {
      const type = failures[0]?.reason?.type ?? 'no reason given';
      if (failed === total && failures[0]?.status === 400) throw new QueryRefused(printable(type));
      this.warn(`${failed} of ${total} shards did not answer: ${printable(type)}`);
    }
    return {
      hits: body.hits?.hits ?? [],
      total: body.hits?.total?.value ?? 0,
      aggregations: body.aggregations ?? {},
    };
  }
}

interface SearchAnswer {
  readonly timed_out?: boolean;
  readonly _shards?: {
    readonly total?: number;
    readonly failed?: number;
    readonly failures?: readonly { readonly status?: number; readonly reason?: { readonly type?: string } }[];
  };
  readonly hits?: {
    readonly total?: { readonly value: number };
    readonly hits: readonly { readonly _source: Source }[];
  };
  readonly aggregations?: { readonly [name: string]: Aggregation };
  readonly error?: { readonly type?: string; readonly root_cause?: readonly { readonly type?: string }[] };
}
