import type { Clock } from '../base/index.ts';
import type { Queries } from '../query/index.ts';
import type { DeadLetterSource, DemoSource, HealthSource, PeerSource, PipelineSource } from './sources.ts';
import type { TraceJson } from './trace-json.ts';

/** What routes are made of. */
export interface Parts {
  readonly version: string;
  readonly clock: Clock;
  readonly queries: Queries;
  readonly traceJson: TraceJson;
  readonly health: HealthSource;
  readonly pipeline: PipelineSource;
  readonly deadLetters: DeadLetterSource;
  readonly demo: DemoSource;
  readonly peers: PeerSource | undefined;
  readonly metricsText: () => Promise<MetricsText>;
}

/** This process's own metrics in an exposition format. */
export interface MetricsText {
  readonly contentType: string;
  readonly text: string;
}
