export { type EmbeddedChild, type HostedChild, startEmbeddedChild, startStoreThread } from './client.ts';
export type { HostedStore } from './protocol.ts';
