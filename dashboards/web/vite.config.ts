import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vite';

// `npm run dev` talks to a running server: the demo's address, or another one in GUANLAN_API.
const api = process.env['GUANLAN_API'] ?? 'http://127.0.0.1:8080';

export default defineConfig({
  plugins: [svelte()],
  build: {
    target: ['chrome114', 'safari17', 'firefox121'],
    // The strict CSP forbids data: URLs; every asset is its own hashed file.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 900,
    reportCompressedSize: false,
    rolldownOptions: {
      output: {
        // Few files compress better than many, and what every page needs may as well come at once. The two
        // dictionaries stay apart: only the language in use is loaded.
        codeSplitting: {
          groups: [
            {
              name: 'core',
              test: /node_modules\/(svelte|esm-env|clsx|@tanstack(?!.*infinite))\/|src\/(lib\/(?!cells|rows|types|schedule)[^/]+|ui\/(?!ResultGrid|Yaml|window|Dialog)[^/]+|api\/[^/]+|lib\/words\/index|pages\/shell\/(?!Palette|Keys)[^/]+|pages\/dashboards\/(ViewBar|load)|pages\/routes)\.(ts|svelte)|@lucide\/svelte\/dist\/(Icon|defaultAttributes|context)/,
            },
          ],
        },
      },
    },
  },
  server: { host: '127.0.0.1', proxy: { '/api': { target: api, changeOrigin: false } } },
});
