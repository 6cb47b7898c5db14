// What a viewer chose about the look: language, theme, density. Kept in this browser.
import type { Locale, Title } from '../api/schema';
import { remember, remembered } from './storage';
import { loadPageWords, loadWords, translator, type Translate, type Words } from './words';

export type Theme = 'auto' | 'light' | 'dark';
const THEMES: Theme[] = ['auto', 'light', 'dark'];

const chosen = remembered('guanlan.locale');
const browser: Locale =
  typeof navigator !== 'undefined' && !navigator.language.startsWith('zh') ? 'en' : 'zh';
const state = $state<{ locale: Locale; theme: Theme; systemDark: boolean; zone: string }>({
  locale: chosen === 'zh' || chosen === 'en' ? chosen : browser,
  theme: THEMES.find((theme) => theme === remembered('guanlan.theme')) ?? 'auto',
  systemDark: false,
  zone: 'Asia/Shanghai',
});
let words = $state.raw<Words>();
/** Whether the words of all pages are wanted, and not only those of the first look. */
let paged = false;
const translate = $derived<Translate>(words ? translator(words) : (key) => key);

export const prefs = {
  get locale(): Locale {
    return state.locale;
  },
  get theme(): Theme {
    return state.theme;
  },
  /** What is really shown, with `auto` decided. */
  get dark(): boolean {
    return state.theme === 'dark' || (state.theme === 'auto' && state.systemDark);
  },
  /** The site's zone; every time on screen is told in it. */
  get zone(): string {
    return state.zone;
  },
};
/** The words of the chosen language. Reactive: call it where the text is drawn. */
export const t: Translate = (key, values) => translate(key, values);
/** A title given by the project in both languages. */
export function say(title: Title | null | undefined, fallback = ''): string {
  if (!title) return fallback;
  return title[state.locale] || title.zh || title.en || fallback;
}

function apply(): void {
  document.documentElement.lang = state.locale === 'zh' ? 'zh-CN' : 'en';
  document.documentElement.dataset['theme'] = prefs.dark ? 'dark' : 'light';
}
/** Must be awaited before anything is drawn: it brings the words. */
export async function startPrefs(): Promise<void> {
  const system = matchMedia('(prefers-color-scheme: dark)');
  state.systemDark = system.matches;
  system.addEventListener('change', (event) => {
    state.systemDark = event.matches;
    apply();
  });
  apply();
  words = await wordsOf(state.locale);
}
async function wordsOf(locale: Locale): Promise<Words> {
  const [first, pages] = await Promise.all([loadWords(locale), paged ? loadPageWords(locale) : {}]);
  return { ...first, ...pages };
}
/** Must be awaited before a page is drawn that is not among the first. */
export async function pageWords(): Promise<void> {
  if (paged) return;
  paged = true;
  words = await wordsOf(state.locale);
}
/** Words first, then the switch: the page never shows half of each language. */
async function speak(locale: Locale): Promise<void> {
  words = await wordsOf(locale);
  state.locale = locale;
  apply();
}
export async function setLocale(locale: Locale): Promise<void> {
  remember('guanlan.locale', locale);
  await speak(locale);
}
/** The site's or the user's language, unless this browser already has a choice of its own. */
export async function suggestLocale(locale: Locale | null): Promise<void> {
  if (locale && locale !== state.locale && !remembered('guanlan.locale')) await speak(locale);
}
export function setZone(zone: string): void {
  state.zone = zone;
}
export function nextTheme(): Theme {
  return THEMES[(THEMES.indexOf(state.theme) + 1) % THEMES.length] ?? 'auto';
}
export function setTheme(theme: Theme): void {
  state.theme = theme;
  remember('guanlan.theme', theme);
  apply();
}
