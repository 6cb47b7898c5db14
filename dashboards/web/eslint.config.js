import svelte from 'eslint-plugin-svelte';
import ts from 'typescript-eslint';
import svelteConfig from './svelte.config.js';

export default ts.config(
  { ignores: ['dist/', 'node_modules/'] },
  ...ts.configs.strict,
  ...svelte.configs.recommended,
  {
    files: ['**/*.svelte', '**/*.svelte.ts'],
    languageOptions: { parserOptions: { parser: ts.parser, extraFileExtensions: ['.svelte'], svelteConfig } },
    // Our router is not SvelteKit's: there is no `resolve()` to call.
    rules: { 'svelte/no-navigation-without-resolve': 'off' },
  },
  {
    files: ['src/**'],
    rules: {
      // Data reaches the screen through load.ts only; everything else stays free of the network.
      'no-restricted-imports': [
        'error',
        {
          patterns: [
            { group: ['**/api/client', '**/api/events'], message: 'Only load.ts files call the API.' },
          ],
        },
      ],
      '@typescript-eslint/no-non-null-assertion': 'error',
      '@typescript-eslint/no-dynamic-delete': 'off',
    },
  },
  { files: ['src/**/load.ts', 'src/api/**', 'src/main.ts'], rules: { 'no-restricted-imports': 'off' } },
);
