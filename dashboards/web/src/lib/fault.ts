// A failure as a page shows it: known codes in the viewer's language, else the server's own words.
import type { Problem } from '../api/schema';
import { orElse, type Translate } from './words';

export interface Fault {
  text: string;
  hint: string | null;
  queryId: string | null;
  /** Whether asking again can help. */
  again: boolean;
}
const hasProblem = (error: unknown): error is { problem: Problem } =>
  typeof error === 'object' && error !== null && 'problem' in error;

/** Codes whose own words beat the server's; all else (SQL, tiles) is told as the server says it. */
export function fault(error: unknown, t: Translate): Fault {
  if (!hasProblem(error))
    return {
      text: error instanceof Error ? error.message : String(error),
      hint: null,
      queryId: null,
      again: true,
    };
  const { code, detail, title, hint, query_id } = error.problem;
  return {
    text: orElse(t, `error.${code}`, detail ?? title ?? code),
    hint: hint ?? null,
    queryId: query_id ?? null,
    again: code !== 'forbidden' && code !== 'not_found',
  };
}
export function codeOf(error: unknown): string | null {
  return hasProblem(error) ? error.problem.code : null;
}
