export { askPeers, type PeerReply } from './ask.ts';
export { knowPeers } from './client.ts';
export { handOver } from './hand-over.ts';
export type { Handed } from './protocol.ts';
export { listenPeers } from './server.ts';
export { takeOver } from './take.ts';
