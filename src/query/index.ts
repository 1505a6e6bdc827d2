export { formatValue, type Series } from '../promql/index.ts';
export { decodeCursor, encodeCursor } from './cursor.ts';
export { durationNanos } from './duration.ts';
export type { GateLimits } from './gate.ts';
export { limitDefault, limitMax, queryCharsMax } from './limits.ts';
export { parseQuery } from './parse.ts';
export { printQuery } from './print.ts';
export { createQueries, type Queries } from './queries.ts';
export { formatTime, parseDuration, parseRange, parseTime } from './time.ts';
