// CodeMirror with only what SQL needs. Its one style element carries the page's CSP nonce.
import {
  autocompletion,
  closeBrackets,
  closeBracketsKeymap,
  completionKeymap,
} from '@codemirror/autocomplete';
import { defaultKeymap, history, historyKeymap, indentWithTab } from '@codemirror/commands';
import { bracketMatching, HighlightStyle, syntaxHighlighting } from '@codemirror/language';
import { setDiagnostics } from '@codemirror/lint';
import { Compartment, EditorState, Prec, type Transaction } from '@codemirror/state';
import { drawSelection, EditorView, highlightActiveLine, keymap, lineNumbers } from '@codemirror/view';
import { tags } from '@lezer/highlight';
import type { TableInfo } from '../../api/schema';
import { complete, quiet } from './dialect';

const colours = HighlightStyle.define([
  { tag: [tags.keyword, tags.operatorKeyword], color: 'var(--accent)', fontWeight: '600' },
  { tag: [tags.string, tags.special(tags.string)], color: 'var(--good)' },
  { tag: [tags.number, tags.bool, tags.null], color: 'var(--warn)' },
  { tag: [tags.comment, tags.lineComment, tags.blockComment], color: 'var(--muted)' },
  { tag: [tags.typeName, tags.standard(tags.name)], color: 'var(--bad)' },
]);
const look = EditorView.theme({
  '&': { height: '100%', color: 'var(--ink)', backgroundColor: 'var(--card)', fontSize: '13px' },
  '&.cm-focused': { outline: '2px solid var(--accent)', outlineOffset: '-2px' },
  '.cm-content:focus-visible': { outline: 'none' },
  '.cm-scroller': { fontFamily: 'var(--code)', lineHeight: '1.6' },
  '.cm-gutters': {
    backgroundColor: 'var(--card)',
    color: 'var(--muted)',
    border: '0',
    paddingInlineStart: '4px',
  },
  '.cm-activeLine, .cm-activeLineGutter': {
    backgroundColor: 'color-mix(in srgb, var(--soft) 60%, transparent)',
  },
  '.cm-cursor': { borderLeftColor: 'var(--ink)' },
  '&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground': {
    backgroundColor: 'color-mix(in srgb, var(--accent) 28%, transparent)',
  },
  '.cm-tooltip': {
    backgroundColor: 'var(--card)',
    color: 'var(--ink)',
    border: '1px solid var(--line)',
    borderRadius: '6px',
    boxShadow: 'var(--shadow)',
  },
  '.cm-tooltip-autocomplete ul li[aria-selected]': {
    backgroundColor: 'var(--accent)',
    color: 'var(--on-accent)',
  },
  '.cm-matchingBracket': { backgroundColor: 'var(--accent-soft)' },
});
/**
 * Typing over a selection is done here rather than by the browser: Chrome would carry the style of the replaced text
 * over as a style attribute, which the CSP blocks and reports.
 */
const typeOver = EditorView.domEventHandlers({
  beforeinput(event, view) {
    const { main, ranges } = view.state.selection;
    const text = event.data;
    if (event.inputType !== 'insertText' || !text || main.empty || ranges.length > 1 || view.composing)
      return false;
    event.preventDefault();
    const insert = (): Transaction =>
      view.state.update(view.state.replaceSelection(text), { userEvent: 'input.type', scrollIntoView: true });
    if (
      !view.state
        .facet(EditorView.inputHandler)
        .some((handle) => handle(view, main.from, main.to, text, insert))
    )
      view.dispatch(insert());
    return true;
  },
});
const schemaPart = new Compartment();

export interface Editor {
  text: () => string;
  /** What to run: the selection, or all. `from` is where it starts, for the place of errors. */
  chosen: () => { sql: string; from: number };
  set: (text: string) => void;
  insert: (text: string) => void;
  tables: (tables: TableInfo[]) => void;
  /** Marks an error at a line and column (1-based) of what was run. */
  mark: (from: number, line: number, column: number, message: string) => void;
  clear: () => void;
  focus: () => void;
  destroy: () => void;
}
interface Options {
  text: string;
  label: string;
  onrun: () => void;
  onchange: (text: string, selected: boolean) => void;
}
export function createEditor(parent: HTMLElement, options: Options): Editor {
  const nonce = document.querySelector<HTMLMetaElement>('meta[name="csp-nonce"]')?.content ?? '';
  const run = { key: 'Mod-Enter', run: () => (options.onrun(), true) };
  const view = new EditorView({
    parent,
    state: EditorState.create({
      doc: options.text,
      extensions: [
        EditorView.cspNonce.of(nonce),
        Prec.highest(keymap.of([run])),
        typeOver,
        lineNumbers(),
        history(),
        drawSelection(),
        bracketMatching(),
        closeBrackets(),
        autocompletion({ icons: false }),
        highlightActiveLine(),
        syntaxHighlighting(colours),
        look,
        schemaPart.of(complete([])),
        EditorView.contentAttributes.of({
          'aria-label': options.label,
          spellcheck: 'false',
          autocapitalize: 'off',
        }),
        EditorView.updateListener.of((update) => {
          if (update.docChanged || update.selectionSet)
            options.onchange(update.state.doc.toString(), !update.state.selection.main.empty);
        }),
        keymap.of([
          ...closeBracketsKeymap,
          ...defaultKeymap,
          ...historyKeymap,
          ...completionKeymap,
          indentWithTab,
        ]),
      ],
    }),
  });
  const replace = (from: number, to: number, insert: string): void =>
    view.dispatch({
      changes: { from, to, insert },
      selection: { anchor: from + insert.length },
      scrollIntoView: true,
    });
  return {
    text: () => view.state.doc.toString(),
    chosen: () => {
      const { from, to, empty } = view.state.selection.main;
      return empty
        ? { sql: view.state.doc.toString(), from: 0 }
        : { sql: view.state.sliceDoc(from, to), from };
    },
    set: (text) => replace(0, view.state.doc.length, text),
    insert: (text) => {
      replace(view.state.selection.main.from, view.state.selection.main.to, text);
      view.focus();
    },
    tables: (tables) => view.dispatch({ effects: schemaPart.reconfigure(complete(tables)) }),
    mark: (start, line, column, message) => {
      const doc = view.state.doc;
      const first = doc.lineAt(Math.min(start, doc.length));
      const at = doc.line(Math.min(doc.lines, first.number + line - 1));
      // Only the first line of a selection starts in the middle of a line of the document.
      const before = line === 1 ? start - first.from : 0;
      const from = Math.min(at.to, at.from + before + Math.max(0, column - 1));
      const word = view.state.wordAt(from);
      view.dispatch(
        setDiagnostics(view.state, [
          { from, to: word?.to ?? Math.min(at.to, from + 1), severity: 'error', message },
        ]),
      );
      view.dispatch({ selection: { anchor: from }, scrollIntoView: true });
    },
    clear: () => {
      quiet(view);
      view.dispatch(setDiagnostics(view.state, []));
    },
    focus: () => view.focus(),
    destroy: () => view.destroy(),
  };
}
