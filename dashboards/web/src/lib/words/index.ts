// One dictionary, two languages. Chinese is the source of the keys; the compiler holds English to them.
import type { Locale } from '../../api/schema';
import { en } from './en';
import { zh } from './zh';

export type Key = keyof typeof zh;
export type Words = Record<Key, string>;
export type Translate = (key: Key, values?: Record<string, string | number>) => string;

const all: Record<Locale, Words> = { zh, en };
/** `{n}` in a text is filled from `values`. */
export function translator(locale: Locale): Translate {
  const words = all[locale];
  return (key, values) => {
    const text = words[key];
    return values ? text.replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole)) : text;
  };
}
/** A text for a code that the server may have invented since: the code itself when unknown. */
export function orElse(translate: Translate, key: string, fallback: string): string {
  return key in zh ? translate(key as Key) : fallback;
}
