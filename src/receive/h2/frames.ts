/** RFC 9113, 6. */
export const frameTypes = {
  data: 0,
  headers: 1,
  priority: 2,
  rstStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

export const flags = { endStream: 1, ack: 1, endHeaders: 4, padded: 8, priority: 0x20 } as const;

/** RFC 9113, 7. */
export const errorCodes = {
  noError: 0,
  protocolError: 1,
  internalError: 2,
  flowControlError: 3,
  streamClosed: 5,
  frameSizeError: 6,
  refusedStream: 7,
  cancel: 8,
  compressionError: 9,
  enhanceYourCalm: 11,
} as const;
export type ErrorCode = (typeof errorCodes)[keyof typeof errorCodes];

/** RFC 9113, 6.5.2. */
export const settingIds = {
  headerTableSize: 1,
  enablePush: 2,
  maxConcurrentStreams: 3,
  initialWindowSize: 4,
  maxFrameSize: 5,
  maxHeaderListSize: 6,
} as const;

export const headBytes = 9;
/** SETTINGS_MAX_FRAME_SIZE unless announced otherwise: we do not, and do not send larger ones. */
export const framePayloadMax = 16_384;
export const windowMax = 2 ** 31 - 1;
export const streamIdMax = 2 ** 31 - 1;
export const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

/** A frame with room for its payload, which starts at `headBytes`. */
export function frame(type: number, frameFlags: number, streamId: number, payloadBytes: number): Buffer {
  const bytes = Buffer.allocUnsafe(headBytes + payloadBytes);
  bytes[0] = payloadBytes >> 16;
  bytes[1] = payloadBytes >> 8;
  bytes[2] = payloadBytes;
  bytes[3] = type;
  bytes[4] = frameFlags;
  writeUint32(bytes, 5, streamId);
  return bytes;
}

export function frameOf(type: number, frameFlags: number, streamId: number, payload: Uint8Array): Buffer {
  const bytes = frame(type, frameFlags, streamId, payload.length);
  bytes.set(payload, headBytes);
  return bytes;
}

export function settingsFrame(settings: readonly (readonly [id: number, value: number])[]): Buffer {
  const bytes = frame(frameTypes.settings, 0, 0, settings.length * 6);
  settings.forEach(([id, value], i) => {
    bytes.writeUInt16BE(id, headBytes + i * 6);
    bytes.writeUInt32BE(value, headBytes + i * 6 + 2);
  });
  return bytes;
}

/** For frames whose payload is one number: RST_STREAM, WINDOW_UPDATE. */
export function numberFrame(type: number, streamId: number, value: number): Buffer {
  const bytes = frame(type, 0, streamId, 4);
  writeUint32(bytes, headBytes, value);
  return bytes;
}

export function goawayFrame(lastStreamId: number, code: ErrorCode): Buffer {
  const bytes = frame(frameTypes.goaway, 0, 0, 8);
  writeUint32(bytes, headBytes, lastStreamId);
  writeUint32(bytes, headBytes + 4, code);
  return bytes;
}

export function writeUint32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}

export function readUint32(bytes: Uint8Array, at: number): number {
  return (
    (bytes[at] as number) * 0x100_0000 +
    (((bytes[at + 1] as number) << 16) | ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number))
  );
}
