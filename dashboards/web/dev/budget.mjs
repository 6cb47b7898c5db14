// Holds the size budget of a built dist/: shell with the first dashboard ≤ 60 KB brotli before charts, any lazy
// chunk ≤ 240 KB, all ≤ 900 KB. The first dashboard is what dist/index.html
// and its page import, followed statically, and the Chinese dictionary.
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync } from 'node:zlib';

const assets = fileURLToPath(new URL('../dist/assets/', import.meta.url));
const names = readdirSync(assets);
const size = Object.fromEntries(
  names.map((name) => [name, brotliCompressSync(readFileSync(assets + name)).length]),
);
const entry = [...readFileSync(`${assets}../index.html`, 'utf8').matchAll(/assets\/([\w.-]+)/g)].map(
  (m) => m[1],
);
const css = (name) => names.find((one) => one.endsWith('.css') && one.split('-')[0] === name.split('-')[0]);

/** A chunk and all that it imports statically (`from"./x.js"` and bare `import"./x.js"`). */
function closure(roots) {
  const seen = new Set(roots);
  for (const name of seen) {
    if (!name.endsWith('.js')) continue;
    const text = readFileSync(assets + name, 'utf8');
    for (const [, found] of text.matchAll(/(?:from|import)\s*["']\.\/([\w.-]+\.js)["']/g)) {
      seen.add(found);
      const style = css(found);
      if (style) seen.add(style);
    }
  }
  return seen;
}
const page = names.filter((name) => /^Dashboard-.*\.(js|css)$/.test(name));
const words = names.find((name) => /^zh-.*\.js$/.test(name));
const everything = [...closure([...entry, ...page, ...(words ? [words] : [])])];
const first = everything.reduce((sum, name) => sum + (size[name] ?? 0), 0);
const [largest, most] = Object.entries(size).sort((a, b) => b[1] - a[1])[0];
const total = Object.values(size).reduce((a, b) => a + b, 0);
const kb = (n) => `${(n / 1000).toFixed(2)} KB`;
const rules = [
  ['shell + first dashboard', first, 60_000],
  [`largest chunk (${largest})`, most, 240_000],
  ['everything', total, 900_000],
];
for (const [what, got, limit] of rules)
  console.log(`${got <= limit ? 'ok  ' : 'OVER'} ${what}: ${kb(got)} of ${kb(limit)}`);
process.exitCode = rules.some(([, got, limit]) => got > limit) ? 1 : 0;
if (process.argv.includes('--list')) for (const name of everything) console.log(kb(size[name] ?? 0), name);
