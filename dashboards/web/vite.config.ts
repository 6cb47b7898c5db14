import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vite';

// `npm run dev` talks to a real server when GUANLAN_API is set, else to the mock (`npm run mock`).
const api = process.env['GUANLAN_API'] ?? 'http://127.0.0.1:8089';

export default defineConfig({
  plugins: [svelte()],
  build: {
    target: ['chrome114', 'safari17', 'firefox121'],
    // The strict CSP forbids data: URLs; every asset is its own hashed file.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 900,
    reportCompressedSize: false,
  },
  server: { host: '127.0.0.1', proxy: { '/api': { target: api, changeOrigin: false } } },
});
