export type { Accept, Accepted, Sender } from './accept.ts';
export { Admission } from './admission.ts';
export type { CorsOrigins } from './cors.ts';
export { type GrpcListener, type GrpcTls, type ListenGrpcOptions, listenGrpc } from './grpc.ts';
export { type HttpListener, type ListenHttpOptions, listenHttp } from './http.ts';
export { defaultReceiveLimits, type ReceiveLimits } from './limits.ts';
export type { Listener, ListenerStats, ReceiveLogger, ReceiveObserver } from './listener.ts';
export { UnpackPool } from './pool.ts';
