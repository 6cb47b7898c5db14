// The one place that speaks HTTP. Answers are typed by api/schema.ts; every failure is an `ApiError`.
import type { Problem } from './schema';

/** What went wrong: the server's problem document, or `offline` / `aborted` when there was no answer. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly problem: Problem,
  ) {
    super(problem.detail ?? problem.title ?? problem.code);
    this.name = 'ApiError';
  }
}

let csrf = '';
let onSignedOut: () => void = () => undefined;
let onReach: (reached: boolean) => void = () => undefined;

export function useCsrf(token: string): void {
  csrf = token;
}
export function whenSignedOut(action: () => void): void {
  onSignedOut = action;
}

/** Hears whether the server answered the latest request at all. */
export function whenReached(action: (reached: boolean) => void): void {
  onReach = action;
}

type Query = Record<string, string | number | null | undefined>;
interface Options {
  body?: unknown;
  query?: Query;
  signal?: AbortSignal | undefined;
}

function address(path: string, query?: Query): string {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(query ?? {})) {
    if (value !== null && value !== undefined && value !== '') search.set(key, String(value));
  }
  const text = search.toString();
  return text ? `${path}?${text}` : path;
}

async function problemOf(response: Response): Promise<Problem> {
  try {
    const body = (await response.json()) as Partial<Problem>;
    return { ...body, code: body.code ?? `http_${response.status}` };
  } catch {
    return { code: `http_${response.status}`, detail: response.statusText };
  }
}

/** Sends one request and hands back the raw response; used directly for streams and downloads. */
export async function send(method: string, path: string, options: Options = {}): Promise<Response> {
  const headers: Record<string, string> = { accept: 'application/json, application/problem+json, */*' };
  if (options.body !== undefined) headers['content-type'] = 'application/json';
  if (method !== 'GET' && csrf) headers['x-csrf'] = csrf;
  let response: Response;
  try {
    response = await fetch(address(path, options.query), {
      method,
      headers,
      credentials: 'same-origin',
      ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
      ...(options.signal ? { signal: options.signal } : {}),
    });
  } catch (cause) {
    if (options.signal?.aborted) throw new ApiError(0, { code: 'aborted' });
    onReach(false);
    throw new ApiError(0, { code: 'offline', detail: String(cause) });
  }
  onReach(true);
  if (response.ok) return response;
  const problem = await problemOf(response);
  if (response.status === 401 && path !== '/api/session') onSignedOut();
  throw new ApiError(response.status, problem);
}

async function json<T>(method: string, path: string, options?: Options): Promise<T> {
  const response = await send(method, path, options);
  if (response.status === 204) return undefined as T;
  const text = await response.text();
  return (text ? JSON.parse(text) : undefined) as T;
}

export const get = <T>(path: string, query?: Query, signal?: AbortSignal): Promise<T> =>
  json<T>('GET', path, { ...(query ? { query } : {}), signal });
export const post = <T>(path: string, body: unknown, signal?: AbortSignal): Promise<T> =>
  json<T>('POST', path, { body, signal });
export const remove = <T>(path: string): Promise<T> => json<T>('DELETE', path);

/** A list that the server may wrap in an object so that it can say more beside it. */
export async function list<T>(path: string, key: string, query?: Query, signal?: AbortSignal): Promise<T[]> {
  const answer = await get<T[] | Record<string, T[] | undefined>>(path, query, signal);
  return Array.isArray(answer) ? answer : (answer[key] ?? []);
}
