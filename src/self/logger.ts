import { type DestinationStream, type Logger, pino } from 'pino';

/**
 * The process's own log, on stderr: stdout is for data. JSON lines, or readable on a terminal.
 * Payloads and secrets are never handed to it; what libraries call their secrets is redacted all the same.
 */
export async function createLogger(options: { readonly level: string; readonly readable: boolean }): Promise<Logger> {
  const destination: DestinationStream = options.readable
    ? (await import('pino-pretty')).default({
        destination: 2,
        sync: true,
        colorize: process.env['NO_COLOR'] === undefined,
        ignore: 'pid,hostname',
      })
    : pino.destination({ dest: 2, sync: true });
  return pino(
    {
      level: options.level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: [
        'headers',
        '*.headers',
        'authorization',
        '*.authorization',
        'password',
        '*.password',
        'token',
        '*.token',
      ],
    },
    destination,
  );
}
