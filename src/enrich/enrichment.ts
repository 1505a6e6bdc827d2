import type { Signal } from '../base/index.ts';
import type { ResourceAt } from '../otlp/index.ts';

/** What one resource lacks. */
export interface Enriched {
  /** Encoded `Resource.attributes` fields. */
  readonly fields: readonly Uint8Array[];
  /** The `service.name` among them; undefined where none was added. */
  readonly serviceName: string | undefined;
}

/** A request as an enrichment sees it. */
export interface EnrichedRequest {
  readonly signal: Signal;
  readonly bytes: Uint8Array;
  readonly resources: readonly ResourceAt[];
  /** Address of the process that sent it, as `readAddress` spells it; '' where nobody can tell. */
  readonly senderAddress: string;
}

/**
 * What is known of each resource and was not sent with it, in the resources' order. A sender's own attribute is never among
 * it. A promise where it is worth while to wait; it never rejects, and the bytes must stay as they are until it resolves.
 */
export type Enrichment = (request: EnrichedRequest) => readonly Enriched[] | Promise<readonly Enriched[]>;

export const nothingLacks: Enriched = { fields: [], serviceName: undefined };
