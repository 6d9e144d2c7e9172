// The editor of the console. It lives in a shadow root: there it brings its styles as constructed
// sheets, which the page's policy allows; in the document it would write a <style>, which that refuses.
import { autocompletion, completionKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { PostgreSQL, sql } from "@codemirror/lang-sql";
import { HighlightStyle, bracketMatching, defaultHighlightStyle, syntaxHighlighting } from "@codemirror/language";
import { EditorState, Prec } from "@codemirror/state";
import { tags } from "@lezer/highlight";
import { EditorView, drawSelection, highlightActiveLine, keymap, lineNumbers } from "@codemirror/view";

const DARK = HighlightStyle.define([
  { tag: tags.keyword, color: "#d7a1f0" },
  { tag: [tags.string, tags.special(tags.string)], color: "#9ad29a" },
  { tag: [tags.number, tags.bool, tags.null], color: "#f2b653" },
  { tag: tags.comment, color: "#94a3b3", fontStyle: "italic" },
  { tag: tags.typeName, color: "#6db3f2" },
]);

export interface Editor {
  text: () => string;
  replace: (text: string) => void;
  insert: (text: string) => void;
  focus: () => void;
  destroy: () => void;
}

interface Options {
  text: string;
  isDark: boolean;
  /** Columns by table, for completion. */
  schema: Record<string, string[]>;
  run: () => void;
  change: (text: string) => void;
}

export function makeEditor(place: HTMLElement, { text, isDark, schema, run, change }: Options): Editor {
  const root = place.shadowRoot ?? place.attachShadow({ mode: "open" });
  const box = document.createElement("div");
  root.replaceChildren(box);
  const theme = EditorView.theme(
    {
      "&": { fontSize: "13.5px", minHeight: "9rem", maxHeight: "50vh" },
      ".cm-scroller": { fontFamily: "ui-monospace, 'SF Mono', 'DejaVu Sans Mono', monospace", minHeight: "9rem", overflow: "auto" },
      ".cm-content": { minHeight: "9rem" },
      ".cm-gutters": { background: "transparent", color: isDark ? "#8b98a7" : "#5b6773", border: "none" },
      "&.cm-focused": { outline: "2px solid #4ea3ea", outlineOffset: "-2px" },
      ".cm-activeLine": { background: isDark ? "#ffffff0d" : "#0000000a" },
      "&.cm-focused .cm-selectionBackground, .cm-selectionBackground": { background: isDark ? "#2d5580 !important" : "#b9d7f5 !important" },
    },
    { dark: isDark },
  );
  const view = new EditorView({
    parent: box,
    root,
    state: EditorState.create({
      doc: text,
      extensions: [
        Prec.highest(keymap.of([{ key: "Mod-Enter", run: () => (run(), true) }])),
        lineNumbers(),
        history(),
        drawSelection(),
        bracketMatching(),
        highlightActiveLine(),
        autocompletion(),
        sql({ dialect: PostgreSQL, schema, upperCaseKeywords: false }),
        syntaxHighlighting(isDark ? DARK : defaultHighlightStyle),
        theme,
        EditorView.lineWrapping,
        EditorView.contentAttributes.of({ "aria-label": "SQL" }),
        // Tab goes on to the next field (WCAG 2.1.2).
        keymap.of([...completionKeymap, ...defaultKeymap, ...historyKeymap]),
        // Where a selection is typed over, the browser would keep its colours in a style attribute, which
        // the page's policy refuses: so this is done before the browser does anything.
        EditorView.domEventHandlers({
          beforeinput: (event, view) => {
            const isOver = event.inputType === "insertText" && event.data !== null && !view.state.selection.main.empty;
            if (!isOver || event.isComposing) return false;
            view.dispatch(view.state.replaceSelection(event.data), { userEvent: "input.type", scrollIntoView: true });
            event.preventDefault();
            return true;
          },
        }),
        EditorView.updateListener.of((update) => {
          if (update.docChanged) change(update.state.doc.toString());
        }),
      ],
    }),
  });
  const replace = (next: string): void => view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: next } });
  return {
    text: () => view.state.doc.toString(),
    replace,
    insert: (piece) => {
      view.dispatch(view.state.replaceSelection(piece));
      view.focus();
    },
    focus: () => view.focus(),
    destroy: () => view.destroy(),
  };
}
