import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Session } from '../api/schema';

type Module = typeof import('./session.svelte');
const who = { user: 'ops', permissions: ['RunSql'] } as Session;
const KEY = 'guanlan.in';
let kept: Map<string, string>;
/** The page as it is after a reload: only what the browser keeps is left. */
async function load(): Promise<Module> {
  vi.resetModules();
  return import('./session.svelte');
}
beforeEach(() => {
  kept = new Map();
  vi.stubGlobal('localStorage', {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => kept.set(key, value),
    removeItem: (key: string) => kept.delete(key),
  });
});
afterEach(() => vi.unstubAllGlobals());

describe('a session that ended', () => {
  it('is told once on a fresh page', async () => {
    (await load()).signedIn(who);
    expect(kept.get(KEY)).toBe('1');
    const page = await load();
    page.signedOut(true);
    expect(page.session.expired).toBe(true);
    expect(kept.has(KEY)).toBe(false);
    const next = await load();
    next.signedOut(true);
    expect(next.session.expired).toBe(false);
    expect(next.session.phase).toBe('out');
  });
  it('is not told on a first visit, nor after signing out', async () => {
    const first = await load();
    first.signedOut(true);
    expect(first.session.expired).toBe(false);
    first.signedIn(who);
    first.signedOut(false);
    expect(first.session.expired).toBe(false);
    const next = await load();
    next.signedOut(true);
    expect(next.session.expired).toBe(false);
  });
  it('stays told when several requests are refused, until someone signs in', async () => {
    const page = await load();
    page.signedIn(who);
    page.signedOut(true);
    page.signedOut(true);
    expect(page.session.expired).toBe(true);
    page.signedIn(who);
    expect(page.session.expired).toBe(false);
    expect(page.session.phase).toBe('in');
  });
  it('is told in an open page also where the browser forbids storage', async () => {
    const refuse = (): never => {
      throw new Error('SecurityError');
    };
    vi.stubGlobal('localStorage', { getItem: refuse, setItem: refuse, removeItem: refuse });
    const page = await load();
    page.signedOut(true);
    expect(page.session.expired).toBe(false);
    page.signedIn(who);
    page.signedOut(true);
    expect(page.session.expired).toBe(true);
  });
});
