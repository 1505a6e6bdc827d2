export type { DeadLetterSink } from './dead-letter.ts';
export { type Delivery, type DeliverySource, type DeliveryStats, startDelivery } from './delivery.ts';
export type { DeliveryObserver, DurableFeed } from './loop-contract.ts';
export type { Replay, Replayed } from './replay.ts';
