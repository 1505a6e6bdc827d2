import type { Clock } from '../../base/index.ts';
import type { Answer, Call } from './client.ts';
import { upkeepMs } from './limits.ts';
import {
  eventsAlias,
  eventsFilter,
  indexEndMs,
  indexPattern,
  template,
  templateName,
  templateVersion,
} from './schema.ts';
import { printable } from './verdict.ts';

// What an index needs beside its records: the template from which it is made, and its end.

export type Ask = (call: Pick<Call, 'method' | 'path' | 'body'>, cancel: AbortSignal) => Promise<Answer>;

/**
 * Installs the template where it is missing or older than ours; a newer one, of a newer replica, stays.
 * @returns `failed`: why it could not be done. `isNew`: there may be indices that were made from an older one.
 */
export async function installTemplate(
  ask: Ask,
  cancel: AbortSignal,
): Promise<{ failed: string | undefined; isNew: boolean }> {
  const no = (failed: string | undefined) => ({ failed, isNew: false });
  const path = `/_index_template/${templateName}`;
  const found = await ask({ method: 'GET', path }, cancel);
  if (found.kind !== 'answer') return no(failure('the index template cannot be read', found));
  if (found.status === 200) {
    const version = versionIn(found.body);
    if (version !== undefined && version >= templateVersion) return no(undefined);
  } else if (found.status !== 404) return no(failure('the index template cannot be read', found));
  const put = await ask({ method: 'PUT', path, body: template }, cancel);
  if (put.kind === 'answer' && put.status === 200) return { failed: undefined, isNew: true };
  return no(failure('the index template cannot be installed', put));
}

/**
 * Gives the alias of the events to the indices that were there before the template had it.
 * @returns Why it could not be done: writing goes on without, and each later index has it.
 */
export async function aliasEvents(ask: Ask, cancel: AbortSignal): Promise<string | undefined> {
  const add = { index: indexPattern, alias: eventsAlias, filter: eventsFilter };
  const answer = await ask({ method: 'POST', path: '/_aliases', body: { actions: [{ add }] } }, cancel);
  // 404: there is none yet.
  if (answer.kind === 'answer' && (answer.status === 200 || answer.status === 404)) return undefined;
  return failure(`the alias ${eventsAlias} cannot be given to older indices`, answer);
}

function versionIn(body: string): number | undefined {
  const { index_templates: templates } = JSON.parse(body) as {
    index_templates?: { index_template?: { version?: number } }[];
  };
  return templates?.[0]?.index_template?.version;
}

/**
 * Deletes the indices of which every record is older than its retention.
 * @returns Names of the deleted, and why others could not be.
 */
export async function deleteExpired(
  ask: Ask,
  nowMs: number,
  retentionMs: number,
  cancel: AbortSignal,
): Promise<{ deleted: string[]; failed: string | undefined }> {
  const listed = await ask({ method: 'GET', path: `/_cat/indices/${indexPattern}?format=json&h=index` }, cancel);
  if (listed.kind !== 'answer' || listed.status !== 200) {
    return { deleted: [], failed: failure('the indices cannot be listed', listed) };
  }
  const names = (JSON.parse(listed.body) as { index: string }[]).map(({ index }) => index);
  const deleted: string[] = [];
  let failed: string | undefined;
  for (const name of names) {
    const endMs = indexEndMs(name);
    if (endMs === undefined || endMs + retentionMs > nowMs) continue;
    const answer = await ask({ method: 'DELETE', path: `/${name}` }, cancel);
    if (answer.kind === 'answer' && answer.status === 200) deleted.push(name);
    // Another replica was there first.
    else if (answer.kind !== 'answer' || answer.status !== 404) failed = failure(`${name} cannot be deleted`, answer);
  }
  return { deleted, failed };
}

function failure(what: string, answer: Answer): string {
  switch (answer.kind) {
    case 'answer':
      return `${what}: HTTP ${answer.status}${errorType(answer.body)}`;
    case 'broken':
      return `${what}: ${answer.reason}`;
    default:
      return `${what}: ${answer.kind === 'timeout' ? 'no answer in time' : 'the answer is too long'}`;
  }
}

function errorType(body: string): string {
  try {
    const { error } = JSON.parse(body) as { error?: { type?: string; reason?: string } };
    return error?.type === undefined ? '' : ` ${printable(`${error.type}: ${error.reason ?? ''}`)}`;
  } catch {
    return '';
  }
}

/** Does something now and then: at once when it is first asked, then not before the time is over. */
export class Now {
  readonly #clock: Clock;
  #nextMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  isDue(): boolean {
    return this.#clock.monotonicMs() >= this.#nextMs;
  }

  done(): void {
    this.#nextMs = this.#clock.monotonicMs() + upkeepMs;
  }

  again(): void {
    this.#nextMs = Number.NEGATIVE_INFINITY;
  }
}
