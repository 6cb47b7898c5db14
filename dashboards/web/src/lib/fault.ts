// A failure as a page shows it: known codes in the viewer's language, with what the server says of the object.
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

/** Codes of which the server has nothing to add: it never spoke, or says only the same in English. */
const PLAIN = ['offline', 'signed_out', 'wrong_login', 'internal'];
function worded({ code, detail, title }: Problem, t: Translate): string {
  const known = orElse(t, `error.${code}`, '');
  if (!known) return detail || title || code;
  if (!detail || PLAIN.includes(code)) return known;
  return t('error.said', { known: known.replace(/[.。]$/, ''), said: detail });
}
export function fault(error: unknown, t: Translate): Fault {
  if (!hasProblem(error))
    return {
      text: error instanceof Error ? error.message : String(error),
      hint: null,
      queryId: null,
      again: true,
    };
  const { code, hint, query_id } = error.problem;
  return {
    text: worded(error.problem, t),
    hint: hint ?? null,
    queryId: query_id ?? null,
    again: code !== 'forbidden' && code !== 'not_found',
  };
}
export function codeOf(error: unknown): string | null {
  return hasProblem(error) ? error.problem.code : null;
}
