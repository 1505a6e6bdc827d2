// Rows B26 and B27: what is wrong with the head of a request, over clear text and over TLS alike.

const many = Object.fromEntries(Array.from({ length: 2000 }, (_, i) => [`x-${i}`, 'x']));

/** `code`: grpc-status; undefined where the call is refused as HTTP/2. */
export const grpcHeaderRows: readonly [name: string, headers: Record<string, string>, code: number | undefined][] = [
  ['of 64 KiB', { 'x-large': 'x'.repeat(64 * 1024) }, undefined],
  ['2,000 of them', many, undefined],
  ['named __proto__', { ['__proto__']: 'x' }, 0],
  ['-bin that is not base64', { 'x-trace-bin': '%%%' }, 0],
  ['grpc-timeout that is none', { 'grpc-timeout': '10 seconds' }, 3],
];

export const httpHeaderRows: readonly [name: string, headers: Record<string, string>, status: number][] = [
  ['of 20 KiB', { 'X-Large': 'x'.repeat(20_000) }, 431],
  ['2,000 of 10 bytes', Object.fromEntries(Array.from({ length: 2000 }, (_, i) => [`x-${i}`, '0123456789'])), 431],
  ['named __proto__', { ['__proto__']: 'x' }, 200],
];

const head = (fields: string) => `POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n${fields}`;

/** Requests that two servers would read differently. `closed`: whether the connection has to end with the answer, 400. */
export const ambiguousRows: readonly [name: string, bytes: string, closed: boolean][] = [
  ['CL and TE', `${head('Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n')}0\r\n\r\n`, true],
  ['two CL', `${head('Content-Length: 2\r\nContent-Length: 3\r\n\r\n')}{}`, true],
  ['a CL that is no number', `${head('Content-Length: +2\r\n\r\n')}{}`, true],
  ['bare LF', 'POST /v1/traces HTTP/1.1\nHost: x\n\n', true],
  ['absolute form', head('Content-Length: 2\r\n\r\n{}').replace('/v1/traces', 'http://evil/v1/traces'), true],
  ['a percent sign and no digits', head('Content-Length: 2\r\n\r\n{}').replace('/v1/traces', '/v1/%zz'), false],
];
