import { Socket, type SocketConstructorOpts } from 'node:net';

/**
 * Reads a socket into one buffer that all connections share, as `onread` of a client's socket does: the bytes are valid
 * during the call only. Without it each read makes a buffer of 64 KiB for the collector of garbage to find.
 * Servers are not given that option, so that what was accepted is put under a socket of its own, where that can be done.
 * Returns the socket to use from here on.
 */
export function readInto(accepted: Socket, onRead: (bytes: Buffer, length: number) => void): Socket {
  const { _handle: handle } = accepted as unknown as { _handle: unknown };
  // Of what is read by others already the first bytes may wait in the socket itself.
  const isRead = 'encrypted' in accepted || accepted.bytesRead > 0;
  if (isRead || typeof handle !== 'object' || handle === null) {
    accepted.on('data', (chunk: Buffer) => onRead(chunk, chunk.length));
    accepted.resume();
    return accepted;
  }
  const callback = (length: number) => {
    onRead(shared, length);
    return true;
  };
  const options = { handle, onread: { buffer: shared, callback } };
  (accepted as unknown as { _handle: unknown })._handle = null;
  const socket = new Socket(options as unknown as SocketConstructorOpts);
  // The server counts what it accepted, and waits for it when it closes.
  socket.on('close', () => accepted.destroy());
  accepted.on('close', () => socket.destroy());
  return socket;
}

const shared = Buffer.allocUnsafeSlow(256 * 1024);
