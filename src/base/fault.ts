// gRPC codes by name: 2 UNKNOWN, 3 INVALID_ARGUMENT, 4 DEADLINE_EXCEEDED, 5 NOT_FOUND, 7 PERMISSION_DENIED,
// 8 RESOURCE_EXHAUSTED, 12 UNIMPLEMENTED, 13 INTERNAL, 14 UNAVAILABLE, 16 UNAUTHENTICATED.
const faults = {
  malformed: { http: 400, grpc: 3 }, // sending it again cannot help
  badFrame: { http: 400, grpc: 12 }, // a gRPC message frame that is cut short, doubled or missing
  unauthenticated: { http: 401, grpc: 16 },
  forbidden: { http: 403, grpc: 7 },
  notFound: { http: 404, grpc: 5 },
  wrongMethod: { http: 405, grpc: 12 },
  timeout: { http: 408, grpc: 4 }, // the sender was too slow with its own body
  tooLarge: { http: 413, grpc: 8 }, // RESOURCE_EXHAUSTED without RetryInfo: do not retry
  unsupportedType: { http: 415, grpc: 12 },
  unprocessable: { http: 422, grpc: 3 }, // understood, and not offered
  overQuota: { http: 429, grpc: 8 }, // RESOURCE_EXHAUSTED with RetryInfo
  internal: { http: 500, grpc: 13 }, // our bug: the cause is logged, never sent
  notConfigured: { http: 501, grpc: 12 },
  unavailable: { http: 503, grpc: 14 }, // backpressure: full log, full disk, stopping. UNAVAILABLE with RetryInfo
  tooSlow: { http: 504, grpc: 4 }, // a query went over its time budget
} as const satisfies Record<string, { http: number; grpc: number }>;
export type FaultCode = keyof typeof faults;

/** A failure that a caller can act on. Source: OTLP 1.11.0, "Failures", for gRPC and for HTTP. */
export class Fault extends Error {
  override readonly name = 'Fault';
  readonly code: FaultCode;
  /** Milliseconds after which the same call may succeed; undefined: waiting does not help. */
  readonly retryAfterMs: number | undefined;
  /** The parameter or field that is to blame, where there is one. */
  readonly parameter: string | undefined;

  constructor(
    code: FaultCode,
    message: string,
    options: { retryAfterMs?: number; parameter?: string; cause?: unknown } = {},
  ) {
    super(message, { cause: options.cause });
    this.code = code;
    this.retryAfterMs = options.retryAfterMs;
    this.parameter = options.parameter;
  }

  /** The status for each protocol; `http` 400 to 599, `grpc` a canonical code. */
  get status(): { http: number; grpc: number } {
    return faults[this.code];
  }

  /**
   * Turns anything that was thrown into a Fault. Called at the edges only: what is not a Fault there is a bug of ours,
   * and its text stays in `cause`, for the log.
   */
  static from(thrown: unknown): Fault {
    if (thrown instanceof Fault) return thrown;
    return new Fault('internal', 'internal error', { cause: thrown });
  }
}
