export { type EmbeddedChild, startEmbeddedChild } from './client.ts';
