/** What a message turned out to need, as bits. */
export const problem = {
  badUtf8: 1,
  /** A span's own trace id, span id or parent span id. */
  badOwnId: 1 << 1,
  /** Ids on log records, links and exemplars, and a parent span id that is all zero: treated as absent. */
  badOtherId: 1 << 2,
  tooDeep: 1 << 3,
  tooManyAttributes: 1 << 4,
  valueTooLong: 1 << 5,
  keyTooLong: 1 << 6,
  tooManyEvents: 1 << 7,
  tooManyLinks: 1 << 8,
  tooManyExemplars: 1 << 9,
  noValue: 1 << 10,
  noTemporality: 1 << 11,
  badHistogram: 1 << 12,
  badExponential: 1 << 13,
  tooManyBuckets: 1 << 14,
  tooFarAhead: 1 << 15,
  noName: 1 << 16,
  noData: 1 << 17,
  /** A field that must occur once occurs again; protobuf merges messages, and takes the last member of a oneof. */
  repeatedOnce: 1 << 18,
} as const;

/** A record, or all records of a metric, scope or resource, cannot be kept with one of these. */
export const rejecting =
  problem.badOwnId |
  problem.tooDeep |
  problem.noValue |
  problem.noTemporality |
  problem.badHistogram |
  problem.badExponential |
  problem.tooManyBuckets |
  problem.tooFarAhead |
  problem.noName |
  problem.noData;
