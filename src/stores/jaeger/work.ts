import { encodeAnswer, type FoundTrace, findTraces, type SpanSearch } from './spans.ts';

/** What is done with the bytes of an answer: here, or in a thread. */
export type Work =
  | { readonly kind: 'find'; readonly json: Uint8Array; readonly search: SpanSearch }
  | { readonly kind: 'encode'; readonly json: Uint8Array };
export type Done = readonly FoundTrace[] | Uint8Array | undefined;

export function done(work: Work): Done {
  return work.kind === 'find' ? findTraces(work.json, work.search) : encodeAnswer(work.json);
}
