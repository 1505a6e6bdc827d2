import { connect as connectSocket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Doors, exportPath, grpcFrame, openDoors } from '../../../test/kit/receivers.ts';
import { errorCodes as codes, frameOf, frameTypes, numberFrame, preface, settingsFrame } from './frames.ts';
import { encodeFields, HpackDecoder } from './hpack.ts';

const { data, headers, priority, rstStream, settings, ping, goaway, windowUpdate, continuation } = frameTypes;
const message = Buffer.from([10, 0]);
const fields = {
  ':method': 'POST',
  ':scheme': 'http',
  ':path': exportPath.traces,
  'content-type': 'application/grpc',
  te: 'trailers',
};
const block = encodeFields(fields);
const greeting = [preface, settingsFrame([])];
const call = (id: number) => [frameOf(headers, 4, id, block), frameOf(data, 1, id, grpcFrame(message))];
const without = (name: keyof typeof fields) =>
  encodeFields(Object.fromEntries(Object.entries(fields).filter(([key]) => key !== name)));

let doors: Doors;
beforeAll(async () => {
  doors = await openDoors({
    accept: async (_, body) => ({ rejected: 0, message: body.length > 2 ? 'x'.repeat(5_000) : '' }),
  });
});
afterAll(() => doors[Symbol.asyncDispose]());

interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly id: number;
  readonly payload: Buffer;
}

/** Speaks frames; resolves with what came until `done` says so, or until the connection is closed. */
function talk(
  pieces: readonly Uint8Array[],
  done: (frames: readonly Frame[]) => boolean = () => false,
  onFrame: (frame: Frame, write: (bytes: Uint8Array) => void) => void = () => {},
): Promise<Frame[]> {
  return new Promise((resolve) => {
    const frames: Frame[] = [];
    let rest = Buffer.alloc(0);
    const socket = connectSocket(doors.grpc.port, '127.0.0.1', async () => {
      for (const piece of pieces) {
        if (socket.destroyed) return;
        socket.write(piece);
        if (pieces.length < 200) await new Promise((later) => setImmediate(later));
      }
    });
    socket.setNoDelay(true);
    socket.on('data', (chunk) => {
      rest = Buffer.concat([rest, chunk]);
      while (rest.length >= 9 && rest.length >= 9 + rest.readUIntBE(0, 3)) {
        const end = 9 + rest.readUIntBE(0, 3);
        const frame = {
          type: rest[3] as number,
          flags: rest[4] as number,
          id: rest.readUInt32BE(5),
          payload: rest.subarray(9, end),
        };
        rest = rest.subarray(end);
        frames.push(frame);
        onFrame(frame, (bytes) => socket.write(bytes));
      }
      if (done(frames)) socket.destroy();
    });
    socket.on('error', () => {}).on('close', () => resolve(frames));
  });
}

const ended = (id: number) => (frames: readonly Frame[]) =>
  frames.some((frame) => frame.id === id && (frame.type === rstStream || (frame.flags & 1) !== 0));

function statusOf(frames: readonly Frame[], id: number): Record<string, string> {
  const found: Record<string, string> = {};
  for (const frame of frames) {
    if (frame.type !== headers || frame.id !== id) continue;
    const decoder = new HpackDecoder({ listBytesMax: 65_536, fieldsMax: 100 });
    decoder.decode(frame.payload, 0, frame.payload.length, (name, value) => {
      found[name] = value;
    });
  }
  return found;
}

describe('errors of the connection are told with GOAWAY', () => {
  const raw = (type: number, flags: number, id: number, bytes: string) =>
    frameOf(type, flags, id, Buffer.from(bytes, 'hex'));
  const seven = (id: number) => settingsFrame([[id, 7]]);
  it.each<[string, Uint8Array[], number]>([
    ['the first frame is not SETTINGS', [preface, raw(ping, 0, 0, '0000000000000000')], codes.protocolError],
    ['a frame of 16,385 bytes', [...greeting, frameOf(headers, 4, 1, Buffer.alloc(16_385))], codes.frameSizeError],
    ['SETTINGS on a stream', [...greeting, raw(settings, 0, 1, '')], codes.protocolError],
    ['SETTINGS of 5 bytes', [...greeting, raw(settings, 0, 0, '0000000000')], codes.frameSizeError],
    ['an acknowledgement with settings', [...greeting, raw(settings, 1, 0, '000100000000')], codes.frameSizeError],
    ['33 settings', [...greeting, settingsFrame(Array(33).fill([9, 9]))], codes.enhanceYourCalm],
    ['ENABLE_PUSH of 7', [...greeting, seven(2)], codes.protocolError],
    ['MAX_FRAME_SIZE of 7', [...greeting, seven(5)], codes.protocolError],
    ['INITIAL_WINDOW_SIZE of 2^31', [...greeting, settingsFrame([[4, 2 ** 31]])], codes.flowControlError],
    ['PING of 7 bytes', [...greeting, raw(ping, 0, 0, '00000000000000')], codes.frameSizeError],
    ['PING on a stream', [...greeting, raw(ping, 0, 1, '0000000000000000')], codes.protocolError],
    ['HEADERS on stream 0', [...greeting, frameOf(headers, 5, 0, block)], codes.protocolError],
    ['HEADERS on stream 2', [...greeting, frameOf(headers, 5, 2, block)], codes.protocolError],
    ['padding longer than HEADERS', [...greeting, raw(headers, 0x0d, 1, 'ff00')], codes.protocolError],
    ['PRIORITY flag without it', [...greeting, raw(headers, 0x25, 1, '00')], codes.protocolError],
    ['a header block that is none', [...greeting, raw(headers, 5, 1, '80')], codes.compressionError],
    ['CONTINUATION of nothing', [...greeting, frameOf(continuation, 4, 1, block)], codes.protocolError],
    [
      'an interrupted header block',
      [...greeting, frameOf(headers, 0, 1, block), raw(ping, 0, 0, '0000000000000000')],
      codes.protocolError,
    ],
    [
      'a header block without end',
      [...greeting, frameOf(headers, 0, 1, block), ...Array(17).fill(raw(continuation, 0, 1, '82'))],
      codes.enhanceYourCalm,
    ],
    [
      'a header block of 80 kB',
      [
        ...greeting,
        frameOf(headers, 0, 1, block),
        ...Array(5).fill(frameOf(continuation, 0, 1, Buffer.alloc(16_384, 0x82))),
      ],
      codes.enhanceYourCalm,
    ],
    ['DATA on stream 0', [...greeting, raw(data, 0, 0, '00')], codes.protocolError],
    ['DATA on an idle stream', [...greeting, raw(data, 0, 1, '00')], codes.protocolError],
    [
      'DATA with padding only, longer than it',
      [...greeting, frameOf(headers, 4, 1, block), raw(data, 8, 1, '05')],
      codes.protocolError,
    ],
    ['RST_STREAM on an idle stream', [...greeting, raw(rstStream, 0, 1, '00000000')], codes.protocolError],
    [
      'RST_STREAM of 3 bytes',
      [...greeting, frameOf(headers, 4, 1, block), raw(rstStream, 0, 1, '000000')],
      codes.frameSizeError,
    ],
    ['WINDOW_UPDATE of 0', [...greeting, raw(windowUpdate, 0, 0, '00000000')], codes.protocolError],
    ['WINDOW_UPDATE past 2^31-1', [...greeting, raw(windowUpdate, 0, 0, '7fffffff')], codes.flowControlError],
    ['WINDOW_UPDATE on an idle stream', [...greeting, raw(windowUpdate, 0, 5, '00000001')], codes.protocolError],
    ['WINDOW_UPDATE of 3 bytes', [...greeting, raw(windowUpdate, 0, 0, '000001')], codes.frameSizeError],
    ['PRIORITY of 4 bytes', [...greeting, raw(priority, 0, 1, '00000000')], codes.frameSizeError],
    ['PUSH_PROMISE', [...greeting, raw(5, 4, 1, '0000000282')], codes.protocolError],
    [
      '10,000 frames of an unknown type',
      [Buffer.concat([...greeting, ...Array(10_000).fill(raw(99, 0, 0, ''))])],
      codes.enhanceYourCalm,
    ],
  ])('%s', async (_, pieces, code) => {
    const last = (await talk(pieces)).at(-1);
    expect([last?.type, last?.payload.readUInt32BE(4)]).toEqual([goaway, code]);
    await expect.poll(() => doors.grpc.stats().inFlight).toBe(0);
  });
});

describe('errors of a stream are told with RST_STREAM, and the next call is served', () => {
  const fill = (bytes: number) =>
    Array.from({ length: bytes / 16_384 }, () => frameOf(data, 0, 1, Buffer.alloc(16_384)));
  it.each<[string, Uint8Array[], number]>([
    ['no :path', [frameOf(headers, 5, 1, without(':path'))], codes.protocolError],
    ['no :method', [frameOf(headers, 5, 1, without(':method'))], codes.protocolError],
    ['no :scheme', [frameOf(headers, 5, 1, without(':scheme'))], codes.protocolError],
    ['an upper-case name', [frameOf(headers, 5, 1, encodeFields({ ...fields, Te: 'x' }))], codes.protocolError],
    [
      'a connection field',
      [frameOf(headers, 5, 1, encodeFields({ ...fields, connection: 'close' }))],
      codes.protocolError,
    ],
    ['129 fields', [frameOf(headers, 5, 1, Buffer.concat([block, Buffer.alloc(129, 0x90)]))], codes.enhanceYourCalm],
    [
      'a content-length that is none',
      [frameOf(headers, 4, 1, encodeFields({ ...fields, 'content-length': '-1' }))],
      codes.protocolError,
    ],
    [
      'a content-length that is not true',
      [
        frameOf(headers, 4, 1, encodeFields({ ...fields, 'content-length': '9' })),
        frameOf(data, 1, 1, grpcFrame(message)),
      ],
      codes.protocolError,
    ],
    [
      'trailers that do not end it',
      [frameOf(headers, 4, 1, block), frameOf(headers, 4, 1, Buffer.of(0x90))],
      codes.protocolError,
    ],
    ['WINDOW_UPDATE of 0', [frameOf(headers, 4, 1, block), numberFrame(windowUpdate, 1, 0)], codes.protocolError],
    [
      'WINDOW_UPDATE past 2^31-1',
      [frameOf(headers, 4, 1, block), numberFrame(windowUpdate, 1, 2 ** 31 - 1)],
      codes.flowControlError,
    ],
    [
      'more than one message',
      [frameOf(headers, 4, 1, block), frameOf(data, 0, 1, grpcFrame(message)), ...fill(65_536)],
      codes.noError,
    ],
  ])('%s', async (_, pieces, code) => {
    const frames = await talk([...greeting, ...pieces, ...call(3)], ended(3));
    const reset = frames.find((frame) => frame.type === rstStream && frame.id === 1);
    expect(reset?.payload.readUInt32BE(0)).toBe(code);
    expect(statusOf(frames, 3)['grpc-status']).toBe('0');
  });

  it('calls past the limit are refused', async () => {
    const ids = Array.from({ length: 257 }, (_, i) => 2 * i + 1);
    const frames = await talk(
      [Buffer.concat([...greeting, ...ids.map((id) => frameOf(headers, 4, id, block))])],
      ended(513),
    );
    expect(
      frames.filter((frame) => frame.type === rstStream).map((frame) => [frame.id, frame.payload.readUInt32BE(0)]),
    ).toEqual([[513, codes.refusedStream]]);
  });
});

describe('a request is read', () => {
  const body = grpcFrame(message);
  const padded = (flags: number, bytes: Uint8Array) =>
    frameOf(data, flags | 8, 1, Buffer.concat([Buffer.of(9), bytes, Buffer.alloc(9)]));
  const whole = Buffer.concat([...greeting, ...call(1)]);
  it.each<[string, Uint8Array[]]>([
    ['in one piece', [whole]],
    ['byte by byte', [...whole].map((byte) => Buffer.of(byte))],
    [
      'with padding',
      [...greeting, frameOf(headers, 4, 1, block), padded(0, body.subarray(0, 3)), padded(1, body.subarray(3))],
    ],
    [
      'with padding byte by byte',
      [...greeting, frameOf(headers, 4, 1, block), ...[...padded(1, body)].map((byte) => Buffer.of(byte))],
    ],
    [
      'with padded headers and a priority',
      [
        ...greeting,
        frameOf(headers, 0x2c, 1, Buffer.concat([Buffer.from('030000000010', 'hex'), block, Buffer.alloc(3)])),
        frameOf(data, 1, 1, body),
      ],
    ],
    [
      'with headers in pieces',
      [
        ...greeting,
        frameOf(headers, 0, 1, block.subarray(0, 9)),
        frameOf(continuation, 0, 1, block.subarray(9, 9)),
        frameOf(continuation, 4, 1, block.subarray(9)),
        frameOf(data, 1, 1, body),
      ],
    ],
    [
      'with trailers',
      [...greeting, frameOf(headers, 4, 1, block), frameOf(data, 0, 1, body), frameOf(headers, 5, 1, Buffer.of(0x90))],
    ],
    [
      'with an empty last DATA',
      [...greeting, frameOf(headers, 4, 1, block), frameOf(data, 0, 1, body), frameOf(data, 1, 1, Buffer.alloc(0))],
    ],
    [
      'with a content-length',
      [
        ...greeting,
        frameOf(headers, 4, 1, encodeFields({ ...fields, 'content-length': body.length })),
        frameOf(data, 1, 1, body),
      ],
    ],
    [
      'among frames that mean nothing here',
      [...greeting, frameOf(priority, 0, 7, Buffer.alloc(5)), frameOf(99, 255, 0, Buffer.alloc(70)), ...call(1)],
    ],
  ])('%s', async (_, pieces) => {
    const before = doors.accepted.length;
    const frames = await talk(pieces, ended(1));
    expect(statusOf(frames, 1)).toEqual({ ':status': '200', 'content-type': 'application/grpc', 'grpc-status': '0' });
    expect(Buffer.concat(frames.filter((frame) => frame.type === data).map((frame) => frame.payload))).toEqual(
      grpcFrame(Buffer.alloc(0)),
    );
    expect(doors.accepted.slice(before).map((request) => Buffer.from(request.body))).toEqual([message]);
  });

  it('of 3 MB through windows that are opened again', async () => {
    const before = doors.accepted.length;
    const large = grpcFrame(Buffer.alloc(3_000_000, 7));
    let left = 1024 * 1024;
    let at = 0;
    const send = (write: (bytes: Uint8Array) => void) => {
      while (left > 0 && at < large.length) {
        const part = large.subarray(at, at + Math.min(16_384, left));
        at += part.length;
        left -= part.length;
        write(frameOf(data, at === large.length ? 1 : 0, 1, part));
      }
    };
    const opening = Buffer.concat([...greeting, frameOf(headers, 4, 1, block)]);
    const frames = await talk([opening], ended(1), (frame, write) => {
      if (frame.type === windowUpdate && frame.id === 1) left += frame.payload.readUInt32BE(0);
      if (frame.type === windowUpdate) send(write);
    });
    expect(statusOf(frames, 1)['grpc-status']).toBe('0');
    expect(doors.accepted.slice(before).map((request) => request.body.length)).toEqual([3_000_000]);
  });
});

describe('an answer', () => {
  const large = [frameOf(headers, 4, 1, block), frameOf(data, 1, 1, grpcFrame(Buffer.alloc(3)))];

  it('waits for the window of its stream, and comes in pieces', async () => {
    let given = 0;
    const frames = await talk([preface, settingsFrame([[4, 0]]), ...large], ended(1), (frame, write) => {
      const open = frame.type === headers || (frame.type === data && given < 10_000);
      if (!open || frame.id !== 1) return;
      given += 100;
      write(numberFrame(windowUpdate, 1, 100));
    });
    const pieces = frames.filter((frame) => frame.type === data).map((frame) => frame.payload);
    expect(pieces.length).toBeGreaterThan(40);
    expect(Math.max(...pieces.map((piece) => piece.length))).toBe(100);
    expect(Buffer.concat(pieces).toString()).toContain('x'.repeat(5_000));
    expect(statusOf(frames, 1)['grpc-status']).toBe('0');
  });

  it('waits for a setting that opens its window', async () => {
    const frames = await talk([preface, settingsFrame([[4, 0]]), ...large], ended(1), (frame, write) => {
      if (frame.type === headers && frame.payload[0] === 0x88) write(settingsFrame([[4, 65_535]]));
    });
    expect(statusOf(frames, 1)['grpc-status']).toBe('0');
  });

  it('starts with our consent where the client wants a smaller table', async () => {
    const frames = await talk([preface, settingsFrame([[1, 0]]), ...call(1), ...call(3)], ended(3));
    const starts = frames.filter((frame) => frame.type === headers).map((frame) => frame.payload[0]);
    expect(starts.filter((byte) => byte === 0x20)).toHaveLength(1);
    expect(starts[0]).toBe(0x20);
    expect(statusOf(frames, 3)['grpc-status']).toBe('0');
  });

  it('comes to what was asked before the client said GOAWAY, then the connection ends', async () => {
    const frames = await talk([...greeting, ...call(1), frameOf(goaway, 0, 0, Buffer.alloc(8))]);
    expect(statusOf(frames, 1)['grpc-status']).toBe('0');
    expect(frames.at(-1)?.type).toBe(goaway);
  });
});

describe('a PING is answered with its own bytes', () => {
  const asked = ['0102030405060708', '1112131415161718'].map((hex) => frameOf(ping, 0, 0, Buffer.from(hex, 'hex')));
  const told = (frames: readonly Frame[]) =>
    frames.filter(({ type }) => type === ping).map(({ flags, payload }) => `${flags} ${payload.toString('hex')}`);
  const both = ['1 0102030405060708', '1 1112131415161718'];

  it('where nothing else is written', async () => {
    expect(told(await talk([...greeting, ...asked], (frames) => told(frames).length === 2))).toEqual(both);
  });

  it('and before what was asked after it', async () => {
    const frames = await talk([...greeting, ...asked, ...call(1)], ended(1));
    expect(told(frames)).toEqual(both);
    expect(statusOf(frames, 1)['grpc-status']).toBe('0');
  });

  it('also where the connection ends at once', async () => {
    expect(told(await talk([...greeting, Buffer.concat([...asked, frameOf(goaway, 0, 0, Buffer.alloc(8))])]))).toEqual(
      both,
    );
  });
});
