import { describe, expect, it } from 'vitest';
import { oracleDecodeResponse } from '../../test/kit/otlp-oracle.ts';
import { signals } from '../base/index.ts';
import { decodeExportResponse, decodeStatus, encodeExportResponse, encodeStatus } from './index.ts';

const names = { traces: 'rejectedSpans', metrics: 'rejectedDataPoints', logs: 'rejectedLogRecords' };

describe.each(signals)('answer to %s', (signal) => {
  it('leaves partial_success unset on full success', () => {
    expect(encodeExportResponse(signal, 'protobuf', { rejected: 0, message: '' })).toHaveLength(0);
    expect(Buffer.from(encodeExportResponse(signal, 'json', { rejected: 0, message: '' })).toString()).toBe('{}');
  });

  it.each([
    { name: 'some rejected', answer: { rejected: 3, message: 'too deep: ünder' } },
    { name: 'a warning', answer: { rejected: 0, message: 'repaired' } },
    { name: 'no reason', answer: { rejected: 100_000, message: '' } },
  ])('$name', ({ answer }) => {
    const expected = {
      partialSuccess: {
        ...(answer.rejected !== 0 && { [names[signal]]: String(answer.rejected) }),
        ...(answer.message !== '' && { errorMessage: answer.message }),
      },
    };
    const bytes = encodeExportResponse(signal, 'protobuf', answer);
    expect(oracleDecodeResponse(signal, bytes)).toEqual(expected);
    expect(decodeExportResponse(signal, bytes)).toEqual(answer);
    expect(JSON.parse(Buffer.from(encodeExportResponse(signal, 'json', answer)).toString())).toEqual(expected);
  });
});

describe('google.rpc.Status', () => {
  it.each([
    { code: 3, message: 'malformed', retryAfterMs: undefined },
    { code: 14, message: '', retryAfterMs: 0 },
    { code: 14, message: 'the log is full', retryAfterMs: 1500 },
    { code: 8, message: 'quota', retryAfterMs: 30_000 },
  ])('$code $message, retry after $retryAfterMs', (status) => {
    expect(decodeStatus(encodeStatus(status, 'protobuf'))).toEqual(status);
    expect(JSON.parse(Buffer.from(encodeStatus(status, 'json')).toString())).toEqual({
      code: status.code,
      message: status.message,
      ...(status.retryAfterMs !== undefined && {
        details: [
          { '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: `${status.retryAfterMs / 1000}s` },
        ],
      }),
    });
  });

  it('as Go writes it', () => {
    // code 14, message "x", details: an Any of RetryInfo{retry_delay: {seconds: 2, nanos: 500000000}}
    const any = `0a28${Buffer.from('type.googleapis.com/google.rpc.RetryInfo').toString('hex')}120a0a0808021080cab5ee01`;
    expect(decodeStatus(Buffer.from(`080e1201781a${(any.length / 2).toString(16)}${any}`, 'hex'))).toEqual({
      code: 14,
      message: 'x',
      retryAfterMs: 2500,
    });
  });

  it('details of another type are no delay', () => {
    expect(decodeStatus(Buffer.from('08031a050a03612f62', 'hex'))).toEqual({
      code: 3,
      message: '',
      retryAfterMs: undefined,
    });
  });
});
