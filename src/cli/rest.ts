import { escapeForTerminal } from './escape.ts';
import { CommandFailure } from './failure.ts';
import { answerBudgetMs, answerBytesMax, clearBudgetMs } from './limits.ts';

/** Query parameters; undefined ones are left out. */
export type Parameters = { readonly [name: string]: string | number | undefined };

/** A REST API as the readers use it. */
export interface Rest {
  /** Base URL, without a slash at the end. */
  readonly endpoint: string;
  /**
   * GET of a path, as JSON.
   * @throws CommandFailure `unreachable` where nobody answers, `usage` where a parameter is refused, else `problem`.
   */
  get<T>(path: string, parameters?: Parameters, cancel?: AbortSignal): Promise<T>;
  delete<T>(path: string): Promise<T>;
  /** Without a body. */
  post<T>(path: string, parameters?: Parameters): Promise<T>;
}

/** The instance to ask: `--endpoint`, else WATCHINGCAT_ENDPOINT, else this machine at WATCHINGCAT_HTTP_PORT or 8090. */
export function connect(endpoint: string | undefined, env: NodeJS.ProcessEnv): Rest {
  const port = /^\d+$/.test(env['WATCHINGCAT_HTTP_PORT'] ?? '') ? env['WATCHINGCAT_HTTP_PORT'] : '8090';
  const written = endpoint ?? (env['WATCHINGCAT_ENDPOINT'] || `http://127.0.0.1:${port}`);
  const url = URL.parse(/^https?:\/\//.test(written) ? written : `http://${written}`);
  if (url === null) {
    throw new CommandFailure(
      'usage',
      `--endpoint: expected a URL such as http://127.0.0.1:8090, got ${JSON.stringify(written)}`,
    );
  }
  const base = url.href.replace(/[?#].*$/, '').replace(/\/+$/, '');
  return {
    endpoint: base,
    get: (path, parameters = {}, cancel) => ask(base, 'GET', path, parameters, answerBudgetMs, cancel),
    delete: (path) => ask(base, 'DELETE', path, {}, clearBudgetMs),
    post: (path, parameters = {}) => ask(base, 'POST', path, parameters, clearBudgetMs),
  };
}

async function ask<T>(
  base: string,
  method: string,
  path: string,
  parameters: Parameters,
  budgetMs: number,
  cancel?: AbortSignal,
): Promise<T> {
  const url = new URL(`${base}${path}`);
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== undefined) url.searchParams.set(name, String(value));
  }
  const budget = AbortSignal.timeout(budgetMs);
  let answer: Response;
  let body: string;
  try {
    answer = await fetch(url, {
      method,
      signal: cancel === undefined ? budget : AbortSignal.any([cancel, budget]),
      // What a page of another site cannot send unasked.
      ...(method === 'POST' ? { headers: { 'content-type': 'application/json' }, body: '{}' } : {}),
    });
    body = await readText(answer);
  } catch (error) {
    if (cancel?.aborted) throw cancel.reason;
    if (error instanceof CommandFailure) throw error;
    throw new CommandFailure(
      'unreachable',
      `${base} does not answer (${why(error, budgetMs)}): is WatchingCat running there? --endpoint or WATCHINGCAT_ENDPOINT names another.`,
    );
  }
  if (answer.ok) {
    const parsed = parseJson(body);
    if (parsed === undefined) throw new CommandFailure('problem', `${url.href} answered something that is not JSON.`);
    return parsed as T;
  }
  const problem = parseJson(body) as
    | { title?: unknown; detail?: unknown; parameter?: unknown; error?: unknown }
    | undefined;
  const detail = problem?.detail ?? problem?.error ?? problem?.title ?? (body.slice(0, 200) || answer.statusText);
  const parameter = typeof problem?.parameter === 'string' ? `${problem.parameter}: ` : '';
  const isUsage = answer.status === 400 || answer.status === 422;
  throw new CommandFailure(
    isUsage ? 'usage' : 'problem',
    escapeForTerminal(`${answer.status}: ${parameter}${String(detail)}`),
  );
}

async function readText(answer: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of answer.body ?? []) {
    sizeBytes += chunk.length;
    if (sizeBytes > answerBytesMax) {
      throw new CommandFailure(
        'problem',
        `The answer is larger than ${answerBytesMax / 2 ** 20} MiB: ask for less with --limit or a shorter --since.`,
      );
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function why(error: unknown, budgetMs: number): string {
  const cause = error instanceof Error ? error.cause : undefined;
  if (cause instanceof Error && 'code' in cause) return String(cause.code);
  return error instanceof Error && error.name === 'TimeoutError'
    ? `nothing within ${budgetMs / 1000} s`
    : 'no connection';
}
