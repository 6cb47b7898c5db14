// What a viewer chose about the look: language, theme, density. Kept in this browser.
import type { Locale, Title } from '../api/schema';
import { translator, type Translate } from './words';

export type Theme = 'auto' | 'light' | 'dark';
const THEMES: Theme[] = ['auto', 'light', 'dark'];

function remembered(key: string): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null; // A browser that forbids storage still gets a working page.
  }
}
function remember(key: string, value: string): void {
  try {
    localStorage.setItem(key, value);
  } catch {
    // Nothing is lost but the preference.
  }
}

const chosen = remembered('guanlan.locale');
const browser: Locale = typeof navigator !== 'undefined' && !navigator.language.startsWith('zh') ? 'en' : 'zh';
const state = $state<{ locale: Locale; theme: Theme; systemDark: boolean; zone: string }>({
  locale: chosen === 'zh' || chosen === 'en' ? chosen : browser,
  theme: THEMES.find((theme) => theme === remembered('guanlan.theme')) ?? 'auto',
  systemDark: false,
  zone: 'Asia/Shanghai',
});
const translate = $derived(translator(state.locale));

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
  document.documentElement.dataset['theme'] = state.theme;
}
export function startPrefs(): void {
  const system = matchMedia('(prefers-color-scheme: dark)');
  state.systemDark = system.matches;
  system.addEventListener('change', (event) => (state.systemDark = event.matches));
  apply();
}
export function setLocale(locale: Locale): void {
  state.locale = locale;
  remember('guanlan.locale', locale);
  apply();
}
/** The site's or the user's language, unless this browser already has a choice of its own. */
export function suggestLocale(locale: Locale | null): void {
  if (locale && !remembered('guanlan.locale')) {
    state.locale = locale;
    apply();
  }
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
