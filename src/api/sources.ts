import type { Signal } from '../base/index.ts';
import type { Eraser } from '../stores/contract.ts';

// What this room asks the rest of the process. It stores nothing itself.

interface DestinationHealth {
  readonly status: 'ok' | 'degraded' | 'unavailable';
  /** Age of the oldest frame that the destination has not got yet; 0 when it has all. */
  readonly lagSeconds: number;
  readonly pendingBytes: number;
  /** What went wrong last, in one sentence without payload or secret; null since it works. */
  readonly lastError: string | null;
}

export interface HealthReport {
  /** `unavailable`: data cannot be accepted. `degraded`: accepted, but somebody should look. */
  readonly status: 'ok' | 'degraded' | 'unavailable';
  readonly uptimeSeconds: number;
  /** Address by name: `otlpGrpc`, `otlpHttp`, `http`; `127.0.0.1:4317`. */
  readonly listeners: { readonly [name: string]: string };
  readonly destinations: { readonly [name: string]: DestinationHealth };
  readonly enrichment: EnrichmentHealth;
}

/** What is known of the Kubernetes cluster; it changes nothing of the status above. */
interface EnrichmentHealth {
  /** `starting`: the first list is under way. `stale`: what is known is what was known last. `denied`: pods may not be read. */
  readonly status: 'off' | 'starting' | 'synced' | 'stale' | 'denied';
  readonly pods: number;
  /** Since the Kubernetes API was last heard of. */
  readonly ageSeconds: number;
  readonly lastError: string | null;
}

export interface HealthSource {
  report(): HealthReport;
  /** False while starting and while draining. A full log leaves it true: clients shall get the retryable answer. */
  ready(): boolean;
}

/** A count since the process started. */
export interface StageCount {
  readonly count: number;
  /** undefined: never. */
  readonly lastSeenUnixNano: bigint | undefined;
}

/** One signal of one service on its way through the pipeline, in records. */
export interface PipelineFlow {
  /** '' where a request could not be attributed, such as one that was refused before it was read. */
  readonly service: string;
  readonly signal: Signal;
  readonly received: StageCount;
  /** Never stored: what was wrong with them was told to the sender. */
  readonly rejected: StageCount;
  /** Told to come again: full log, full disk, quota. */
  readonly refused: StageCount;
  /** By destination. */
  readonly stored: { readonly [destination: string]: StageCount };
}

/** Records that were refused or dropped for one reason at one stage. */
interface DropGroup {
  readonly signal: Signal;
  /** `receive`, `enrich`, `deliver`, … and for a destination `deliver/<name>`. */
  readonly stage: string;
  /** One sentence, the same for all of the group. */
  readonly reason: string;
  readonly count: number;
  readonly lastSeenUnixNano: bigint;
  /** One of them by its names, such as service, scope and span name or metric name. Never a value, a body or an attribute's content. */
  readonly sample: { readonly [name: string]: string };
}

/** How far one destination is with one signal. */
interface DestinationProgress {
  readonly destination: string;
  readonly signal: Signal;
  readonly state: 'idle' | 'delivering' | 'retrying' | 'stopped';
  /** Age of the oldest request that it has not got yet; 0 when it has all. */
  readonly lagSeconds: number;
  readonly pendingRequests: number;
  /** Estimated, where they have not been read yet. */
  readonly pendingRecords: number;
  readonly pendingBytes: number;
  readonly batchesInFlight: number;
  /** Attempts in a row that failed. */
  readonly failures: number;
  /** undefined since it works. */
  readonly lastError: string | undefined;
  readonly failingSinceUnixMs: number | undefined;
  readonly deadLetters: number;
}

/** The lists are bounded by who keeps them. */
export interface PipelineSource {
  /** By destination and signal. */
  destinations(): readonly DestinationProgress[];
  status(): readonly PipelineFlow[];
  drops(): readonly DropGroup[];
  /** What replicas handed over to each other, as seen from this one. */
  handOver(): Readonly<Record<Signal, { readonly handedOver: HandOverCount; readonly takenOver: HandOverCount }>>;
}

/** The other replicas. */
export interface PeerSource {
  /** GET of a path with its query, of each of them. Never rejects: `error` says why one did not answer. */
  ask(
    path: string,
    cancel: AbortSignal,
  ): Promise<readonly { readonly name: string; readonly answer: unknown; readonly error: string | undefined }[]>;
}

interface HandOverCount {
  readonly requests: number;
  readonly records: number;
}

interface DeadLetterFilter {
  readonly destination?: string | undefined;
  readonly signal?: Signal | undefined;
  readonly id?: number | undefined;
  /** A part of the reason, whatever its case. */
  readonly reason?: string | undefined;
}

interface DeadLetterRow {
  readonly id: number;
  readonly destination: string;
  readonly signal: Signal;
  readonly reason: string;
  readonly addedUnixNano: bigint;
  readonly receivedUnixNano: bigint;
  readonly refusedRecords: number;
  readonly sizeBytes: number;
}

/** What destinations refused for good. */
export interface DeadLetterSource {
  /** Oldest first. */
  list(filter: DeadLetterFilter): readonly DeadLetterRow[];
  stats(): {
    readonly letters: number;
    readonly sizeBytes: number;
    readonly maxBytes: number;
    readonly droppedLetters: number;
  };
  /**
   * Gives them to their destinations again, as many as the time allows. Those that were taken are removed.
   * @throws Fault `unavailable` where it is being done already.
   */
  replay(
    filter: DeadLetterFilter,
    cancel: AbortSignal,
  ): Promise<{
    /** Letters that were taken. */
    readonly replayed: number;
    /** Letters that were tried and stay, and why. */
    readonly left: readonly {
      readonly id: number;
      readonly destination: string;
      readonly reason: string;
      readonly refused: boolean;
    }[];
    /** Letters that were not tried: call again. */
    readonly remaining: number;
  }>;
}

/** Where what the demo has sent is. */
export interface DemoSource {
  /** A store that can remove records; where there is none the demo's stay, and the route answers 501. */
  readonly eraser: Eraser | undefined;
  /** Destinations that keep what they were sent, and how it is removed there. */
  readonly kept: readonly { readonly destination: string; readonly remove: string }[];
}
