import { isUtf8 } from 'node:buffer';
import { Fault, type Signal } from '../base/index.ts';
import type { Limits } from './limits.ts';
import { beginScan, countElement, endScan, scanMessage, scannedRecords, scannedTimestamp } from './scan.ts';
import { malformed, Reader, wireBytes } from './wire.ts';

/** Byte offsets of one ResourceSpans, ResourceMetrics or ResourceLogs; ends are exclusive. */
export interface ResourceAt {
  /** Of its tag. */
  readonly start: number;
  /** Of its content, after tag and length. */
  readonly contentStart: number;
  readonly end: number;
  /** Of the tag of the Resource message; -1 where there is none. */
  readonly resourceTagStart: number;
  /** Of the content of the Resource message; -1 where there is none. */
  readonly resourceStart: number;
  readonly resourceEnd: number;
  /** Spans, data points or log records under it. */
  readonly records: number;
}

export interface Walked {
  /** Spans, data points or log records. */
  readonly records: number;
  /** In wire order. */
  readonly resources: readonly ResourceAt[];
  /** False: something must be rejected, repaired or cut; `rewrite` does it, and what it returns is clean. */
  readonly clean: boolean;
  /** Logs: whether any record carries a time or an observed time. Always true for traces and metrics. */
  readonly hasTimestamp: boolean;
}

const scopeMessage = { traces: 'ScopeSpans', metrics: 'ScopeMetrics', logs: 'ScopeLogs' } as const;

/**
 * Checks the structure of an export request, counts its records and finds its resources, in one pass and without
 * building anything for a record.
 * @param bytes       One uncompressed Export…ServiceRequest. Not copied, not kept.
 * @param nowUnixNano Where given, data points too far ahead of it make the request unclean.
 * @throws Fault      `malformed` with the offset; `tooLarge` over a bound of `limits`, before reading on.
 * @see OTLP 1.11.0 "OTLP/gRPC Request"; Protocol Buffers "Encoding"
 */
export function walk(signal: Signal, bytes: Uint8Array, limits: Limits, nowUnixNano?: bigint): Walked {
  if (bytes.length > limits.requestBytesMax)
    throw new Fault('tooLarge', `the request holds more than ${limits.requestBytesMax} bytes`);
  beginScan(bytes, limits, nowUnixNano);
  try {
    const resources: ResourceAt[] = [];
    let scopes = 0;
    let problems = 0;
    const request = new Reader(bytes);
    while (request.next()) {
      if (request.field !== 1) continue;
      expectBytes(request);
      countElement();
      // Each costs an object; one that holds no record is of no use to anybody.
      if (resources.length >= limits.recordsMax)
        throw new Fault('tooLarge', `the request holds more than ${limits.recordsMax} resources`);
      const recordsBefore = scannedRecords();
      let resourceTagStart = -1;
      let resourceStart = -1;
      let resourceEnd = -1;
      const content = request.message();
      while (content.next()) {
        switch (content.field) {
          case 1:
            expectBytes(content);
            if (resourceStart >= 0) problems = 1; // two Resource messages are to be merged
            resourceTagStart = content.tagStart;
            resourceStart = content.valueStart;
            resourceEnd = content.valueEnd;
            problems |= scanMessage('Resource', content.valueStart, content.valueEnd);
            break;
          case 2:
            expectBytes(content);
            countElement();
            if (++scopes > limits.recordsMax)
              throw new Fault('tooLarge', `the request holds more than ${limits.recordsMax} scopes`);
            problems |= scanMessage(scopeMessage[signal], content.valueStart, content.valueEnd);
            break;
          case 3:
            expectBytes(content);
            if (!isUtf8(content.bytes())) problems |= 1;
            break;
        }
      }
      resources.push({
        start: request.tagStart,
        contentStart: request.valueStart,
        end: request.valueEnd,
        resourceTagStart,
        resourceStart,
        resourceEnd,
        records: scannedRecords() - recordsBefore,
      });
    }
    return {
      records: scannedRecords(),
      resources,
      clean: problems === 0,
      hasTimestamp: signal !== 'logs' || scannedTimestamp(),
    };
  } finally {
    endScan();
  }
}

function expectBytes(reader: Reader): void {
  if (reader.wireType !== wireBytes)
    throw malformed(`wire type ${reader.wireType} for field ${reader.field}`, reader.tagStart);
}
