export type { Accept, Accepted, Room, Sender } from './accept.ts';
export { Admission } from './admission.ts';
export { type GrpcListener, type ListenGrpcOptions, listenGrpc } from './grpc.ts';
export { type HttpListener, type ListenHttpOptions, listenHttp } from './http.ts';
export type { Listener, ListenerStats, ReceiveObserver } from './listener.ts';
export { UnpackPool } from './pool.ts';
