import type { Clock } from '../base/index.ts';
import type { Queries } from '../query/index.ts';
import type { Eraser } from '../stores/contract.ts';
import type { DeadLetterSource, HealthSource, PeerSource, PipelineSource } from './sources.ts';
import type { TraceJson } from './trace-json.ts';

/** What routes are made of. */
export interface Parts {
  readonly version: string;
  readonly clock: Clock;
  readonly queries: Queries;
  readonly eraser: Eraser | undefined;
  readonly traceJson: TraceJson;
  readonly health: HealthSource;
  readonly pipeline: PipelineSource;
  readonly deadLetters: DeadLetterSource;
  readonly peers: PeerSource | undefined;
  readonly metricsText: () => Promise<MetricsText>;
}

/** This process's own metrics in an exposition format. */
export interface MetricsText {
  readonly contentType: string;
  readonly text: string;
}
