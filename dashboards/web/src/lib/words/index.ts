// One dictionary, two languages. Chinese is the source of the keys; the compiler holds English to them. Only the
// language in use is loaded.
import type { Locale } from '../../api/schema';
import type { zh } from './zh';

export type Key = keyof typeof zh;
export type Words = Record<Key, string>;
export type Translate = (key: Key, values?: Record<string, string | number>) => string;

export async function loadWords(locale: Locale): Promise<Words> {
  return locale === 'zh' ? (await import('./zh')).zh : (await import('./en')).en;
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
