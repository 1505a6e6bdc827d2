export { AddressRanges, readAddress, readAddressRange } from './address.ts';
export { type Clock, systemClock } from './clock.ts';
export { demoAttribute, demoCluster } from './demo.ts';
export { entryPath } from './entry.ts';
export { Fault, type FaultCode } from './fault.ts';
export { type Batch, type Frame, isOwed, joinOwed, owedNames } from './frame.ts';
export { recordNoun, type Signal, signals } from './signal.ts';
export { ownBuffer, serveTasks, ThreadPool } from './thread-pool.ts';
export { boundYoung, collectYoung } from './young.ts';
