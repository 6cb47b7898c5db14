import {
  autocompletion,
  completionStatus,
  CompletionContext,
  startCompletion,
} from '@codemirror/autocomplete';
import { keywordCompletionSource } from '@codemirror/lang-sql';
import { EditorState } from '@codemirror/state';
import type { EditorView } from '@codemirror/view';
import { expect, it } from 'vitest';
import { complete, dialect, quiet } from './dialect';

it('offers the words that people use, and none of the hundreds that are only reserved', async () => {
  const state = EditorState.create({ doc: 'de', extensions: [complete([])] });
  const found = await keywordCompletionSource(dialect)(new CompletionContext(state, 2, true));
  const words = (found?.options ?? []).map((option) => option.label);
  expect(words).toEqual(expect.arrayContaining(['select', 'describe', 'date_trunc', 'count', 'timestamp']));
  expect(words).not.toContain('dlpreviouscopy');
  expect(words).not.toContain('user_defined_type_schema');
  expect(words.length).toBeLessThan(200);
  expect(new Set(words).size).toBe(words.length);
});
it('ends what is still being looked up, so that nothing opens over the answer', () => {
  let state = EditorState.create({
    doc: 'sel',
    selection: { anchor: 3 },
    extensions: [autocompletion(), complete([])],
  });
  const view = {
    get state() {
      return state;
    },
    dispatch: (spec: Parameters<EditorState['update']>[0]) => (state = state.update(spec).state),
  } as unknown as EditorView;
  startCompletion(view);
  expect(completionStatus(state)).toBe('pending');
  quiet(view);
  expect(completionStatus(state)).toBeNull();
});
