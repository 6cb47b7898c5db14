// One dictionary, two languages. Chinese is the source of the keys; the compiler holds English to them. Only the
// language in use is loaded, and the words of most pages only when the first of these is opened.
import type { Locale } from '../../api/schema';
import type { zh } from './zh';
import type { zhPages } from './zh.pages';

export type FirstWords = Record<keyof typeof zh, string>;
export type PageWords = Record<keyof typeof zhPages, string>;
export type Key = keyof FirstWords | keyof PageWords;
export type Words = FirstWords & Partial<PageWords>;
export type Translate = (key: Key, values?: Record<string, string | number>) => string;

export async function loadWords(locale: Locale): Promise<FirstWords> {
  return locale === 'zh' ? (await import('./zh')).zh : (await import('./en')).en;
}
export async function loadPageWords(locale: Locale): Promise<PageWords> {
  return locale === 'zh' ? (await import('./zh.pages')).zhPages : (await import('./en.pages')).enPages;
}
/** `{n}` in a text is filled from `values`. */
export function translator(words: Words): Translate {
  return (key, values) => {
    // A key composed from a code that the server has invented since is better shown than thrown at.
    const text: string | undefined = words[key];
    if (text === undefined) return key.slice(key.lastIndexOf('.') + 1);
    return values ? text.replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole)) : text;
  };
}
/** The text for a code of the server, or a fallback when there is none. */
export function orElse(translate: Translate, key: string, fallback: string): string {
  const text = translate(key as Key);
  return text === key.slice(key.lastIndexOf('.') + 1) ? fallback : text;
}
