import { boundYoung, collectAtRest } from '../../src/base/index.ts';
import { Admission, type ListenGrpcOptions, listenGrpc, listenHttp, UnpackPool } from '../../src/receive/index.ts';

// A program: both receivers with TLS in a process of their own, which is to be seen from outside. Told its certificates in a first
// message it answers with its ports, and each further message with what the doors count.

process.once('message', async (tls: NonNullable<ListenGrpcOptions['tls']>) => {
  const accept = async () => ({ rejected: 0, message: '' });
  const shared = { host: '127.0.0.1', port: 0, accept, admission: new Admission(), pool: new UnpackPool(), tls };
  const [grpc, http] = [await listenGrpc(shared), await listenHttp(shared)];
  boundYoung();
  collectAtRest();
  process.on('message', () => process.send?.({ grpc: grpc.stats(), http: http.stats() }));
  process.send?.({ grpc: grpc.port, http: http.port });
});
