export {
  type ChildLogger,
  type EmbeddedChild,
  type EmbeddedChildOptions,
  embeddedName,
  startEmbeddedChild,
} from './client.ts';
export type { HostedStoreOptions, StoreStats } from './protocol.ts';
