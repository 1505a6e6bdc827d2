/** Exact origins such as 'https://shop.example'; 'loopback' stands for every page served from this machine. [] : none. */
export type CorsOrigins = readonly string[];

/** A page that a developer serves on their own machine is who sends to a local backend. */
const defaultOrigins: CorsOrigins = ['loopback'];

/** The origin to answer with, undefined when it is not allowed. Never '*', and never 'null', which any sandboxed page has. */
export function allowedOrigin(origin: string, allowed: CorsOrigins = defaultOrigins): string | undefined {
  if (origin === 'null') return undefined;
  if (allowed.includes(origin)) return origin;
  return allowed.includes('loopback') && loopback.test(origin) ? origin : undefined;
}

const loopback = /^https?:\/\/(?:localhost|(?:[a-z0-9-]+\.)+localhost|127\.0\.0\.1|\[::1\])(?::\d{1,5})?$/;

/** What a preflight is told, beside the origin. No credentials: OTLP needs none of a browser's. */
export const preflightHeaders = {
  'Access-Control-Allow-Methods': 'POST',
  'Access-Control-Allow-Headers': 'content-type, content-encoding, authorization, traceparent, tracestate, x-api-key',
  'Access-Control-Max-Age': '7200',
} as const;
