/** The three kinds of telemetry, in the order in which lists show them. */
export const signals = ['traces', 'metrics', 'logs'] as const;
export type Signal = (typeof signals)[number];

/** What one record of a signal is called, as OpenTelemetry spells it. */
export const recordNoun = { traces: 'span', metrics: 'data point', logs: 'log record' } as const satisfies Record<
  Signal,
  string
>;
