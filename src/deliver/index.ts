export type { DeadLetterSink } from './dead-letter.ts';
export {
  type Delivery,
  type DeliveryOptions,
  type DeliverySource,
  type DeliveryStats,
  startDelivery,
} from './delivery.ts';
export type { DeliveryObserver, DurableFeed, LoopStats } from './loop.ts';
