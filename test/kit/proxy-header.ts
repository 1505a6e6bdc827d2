import { type AddressInfo, connect, createServer } from 'node:net';

/** A header of the PROXY protocol, version 2, by its bytes. */
export function proxyHeader2(versionAndCommand: number, family: number, rest: Uint8Array): Buffer {
  const head = Buffer.concat([Buffer.from('\r\n\r\n\0\r\nQUIT\n'), Buffer.from([versionAndCommand, family, 0, 0])]);
  head.writeUInt16BE(rest.length, 14);
  return Buffer.concat([head, rest]);
}

/** A proxy that sends these pieces, one after the other, and then hands on all that is said. */
export async function proxyTo(port: number, ...pieces: Uint8Array[]): Promise<{ port: number } & Disposable> {
  const server = createServer((client) => {
    const upstream = connect(port, '127.0.0.1');
    upstream.setNoDelay(true);
    upstream.on('error', () => client.destroy()).on('close', () => client.destroy());
    client.on('error', () => upstream.destroy()).on('close', () => upstream.destroy());
    void (async () => {
      for (const piece of pieces) {
        upstream.write(piece);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      client.pipe(upstream);
      upstream.pipe(client);
    })();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { port: (server.address() as AddressInfo).port, [Symbol.dispose]: () => server.close() };
}
