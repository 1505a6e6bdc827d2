import { type ErrorCode, errorCodes, framePayloadMax, readUint32, settingIds, windowMax } from './frames.ts';

/**
 * What is wrong with a SETTINGS frame whose payload is `bytes` from `start` to `end`.
 * @see RFC 9113, 6.5.
 */
export function checkSettings(
  streamId: number,
  isAck: boolean,
  bytes: Buffer,
  start: number,
  end: number,
): { readonly code: ErrorCode; readonly reason: string } | undefined {
  const length = end - start;
  if (streamId !== 0) return { code: errorCodes.protocolError, reason: 'SETTINGS on a stream' };
  if (isAck ? length !== 0 : length % 6 !== 0) {
    return { code: errorCodes.frameSizeError, reason: 'SETTINGS of a wrong size' };
  }
  if (length > settingsMax * 6) return { code: errorCodes.enhanceYourCalm, reason: 'too many settings' };
  for (let at = start; at < end; at += 6) {
    const value = readUint32(bytes, at + 2);
    switch (bytes.readUInt16BE(at)) {
      case settingIds.enablePush:
        if (value > 1) return { code: errorCodes.protocolError, reason: 'SETTINGS_ENABLE_PUSH is neither 0 nor 1' };
        break;
      case settingIds.maxFrameSize:
        if (value < framePayloadMax || value >= 2 ** 24)
          return { code: errorCodes.protocolError, reason: 'SETTINGS_MAX_FRAME_SIZE out of range' };
        break;
      case settingIds.initialWindowSize:
        if (value > windowMax)
          return { code: errorCodes.flowControlError, reason: 'SETTINGS_INITIAL_WINDOW_SIZE too large' };
        break;
      default: // RFC 9113, 6.5.2: unknown settings are ignored
    }
  }
  return undefined;
}

const settingsMax = 32;
