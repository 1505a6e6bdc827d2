import { beforeAll, describe, expect, it } from 'vitest';
import { runCommand } from '../kit/process.ts';
import { runProgram } from '../kit/program.ts';
import { sharedProcess } from '../kit/shared-process.ts';
import { expectSent, type Sent } from './sent.ts';
import { javaClient, javaScriptClient, pythonClient } from './setup.ts';

// The OpenTelemetry SDKs as applications use them, against the process as a user starts it.

const running = sharedProcess();

describe('OpenTelemetry SDK for JavaScript', () => {
  let program: string;
  beforeAll(async () => {
    program = await javaScriptClient();
  });
  it.each([
    ['grpc', 'none'],
    ['grpc', 'gzip'],
    ['http/protobuf', 'none'],
    ['http/protobuf', 'gzip'],
    ['http/json', 'none'],
    ['http/json', 'gzip'],
  ])('%s, %s: traces, metrics and logs are queryable, once', async (protocol, compression) => {
    const endpoint = protocol === 'grpc' ? `http://${running.otlpGrpc}` : running.otlpHttp;
    const service = `js-${protocol}-${compression}`.replace('/', '-');
    const done = await runCommand([protocol, endpoint, service, compression], { bin: program });
    expect(done.stderr).toBe('');
    expect(done.code).toBe(0);
    await expectSent(running.http, JSON.parse(done.stdout) as Sent);
  });
});

describe('OpenTelemetry SDK for Python', () => {
  let client: Awaited<ReturnType<typeof pythonClient>>;
  beforeAll(async () => {
    client = await pythonClient();
  });
  it.each([
    ['grpc', 'none'],
    ['grpc', 'gzip'],
    ['grpc', 'deflate'],
    ['http/protobuf', 'none'],
    ['http/protobuf', 'gzip'],
    ['http/protobuf', 'deflate'],
  ])('%s, %s: traces, metrics and logs are queryable, once', async (protocol, compression) => {
    const endpoint = protocol === 'grpc' ? running.otlpGrpc : running.otlpHttp;
    const service = `python-${protocol}-${compression}`.replace('/', '-');
    const done = await runProgram(client.interpreter, [client.program, protocol, endpoint, service, compression]);
    await expectSent(running.http, JSON.parse(done.stdout) as Sent);
  });
});

describe('OpenTelemetry SDK for Java', () => {
  // Its gRPC goes over OkHttp, or over grpc-java itself where that is there.
  const senders: Record<string, string> = {
    OkHttp: 'io.opentelemetry.exporter.sender.okhttp.internal.OkHttpGrpcSenderProvider',
    'grpc-java': 'io.opentelemetry.exporter.sender.grpc.managedchannel.internal.UpstreamGrpcSenderProvider',
  };
  let classPath: string;
  beforeAll(async () => {
    classPath = await javaClient();
  });
  it.each([
    ['grpc', 'none', 'OkHttp'],
    ['grpc', 'gzip', 'OkHttp'],
    ['grpc', 'none', 'grpc-java'],
    ['grpc', 'gzip', 'grpc-java'],
    ['http/protobuf', 'none', 'OkHttp'],
    ['http/protobuf', 'gzip', 'OkHttp'],
  ])('%s, %s, by %s: traces, metrics and logs are queryable, once', async (protocol, compression, sender) => {
    const endpoint = protocol === 'grpc' ? `http://${running.otlpGrpc}` : running.otlpHttp;
    const service = `java-${protocol}-${compression}-${sender}`.replace('/', '-');
    const provider = `-Dio.opentelemetry.exporter.internal.grpc.GrpcSenderProvider=${senders[sender]}`;
    const program = ['-Dfile.encoding=UTF-8', provider, '-cp', classPath, 'Send'];
    const done = await runProgram('java', [...program, protocol, endpoint, service, compression]);
    await expectSent(running.http, JSON.parse(done.stdout) as Sent);
  });
});
