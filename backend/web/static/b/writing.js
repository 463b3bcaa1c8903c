// The editor of versions: CodeMirror over the text area that is sent. Typing is checked by the server, and kept on this device.
// CodeMirror stands in a shadow root: there its style sheet is a constructed one, which the page's policy needs no exception for.
const WAIT_MS = 500;
const KEEP = "bespoke:write:";

const theme = {
  "&": { height: "100%", fontSize: "12.5px", backgroundColor: "var(--b-surface)", color: "var(--b-text)" },
  ".cm-scroller": { fontFamily: "ui-monospace, SFMono-Regular, Menlo, monospace", lineHeight: "20px" },
  ".cm-gutters": { backgroundColor: "var(--b-sunken)", color: "var(--b-muted)", border: "0", borderRight: "1px solid var(--b-line)" },
  ".cm-activeLine": { backgroundColor: "color-mix(in srgb, var(--b-action) 6%, transparent)" },
  ".cm-activeLineGutter": { backgroundColor: "var(--b-line)" },
  "&.cm-focused": { outline: "2px solid var(--b-action)", outlineOffset: "-2px" },
  ".cm-cursor": { borderLeftColor: "var(--b-text)" },
  "&.cm-focused .cm-selectionBackground, .cm-selectionBackground": { backgroundColor: "var(--b-action-line) !important" },
  ".cm-tooltip": { backgroundColor: "var(--b-surface)", color: "var(--b-text)", border: "1px solid var(--b-line-strong)" },
};

const start = async (host) => {
  const area = host.querySelector("textarea");
  const form = area.form;
  const key = KEEP + form.dataset.bDraft;
  const began = area.dataset.bBegan ?? area.value; // a text that comes out of the form has begun as another
  const kept = form.querySelector("[data-b-kept]");
  const cm = await import(host.dataset.bCode);
  const colours = cm.HighlightStyle.define([
    { tag: [cm.tags.propertyName, cm.tags.definition(cm.tags.propertyName)], color: "var(--b-action)", fontWeight: "600" },
    { tag: [cm.tags.string, cm.tags.content], color: "var(--b-text)" },
    { tag: [cm.tags.number, cm.tags.bool, cm.tags.null, cm.tags.keyword], color: "var(--b-yours, var(--b-action))" },
    { tag: cm.tags.comment, color: "var(--b-muted)", fontStyle: "italic" },
  ]);
  let timer = 0;
  const typed = () => {
    area.value = view.state.doc.toString();
    const same = area.value === began;
    same ? localStorage.removeItem(key) : localStorage.setItem(key, area.value);
    kept.hidden = same;
    clearTimeout(timer);
    timer = setTimeout(() => window.htmx.trigger(area, "b-typed"), WAIT_MS);
  };
  const place = document.createElement("div");
  place.className = "b-code-host";
  const root = place.attachShadow({ mode: "open" });
  area.after(place);
  const draft = "bBegan" in area.dataset ? area.value : localStorage.getItem(key);
  const view = new cm.EditorView({
    root,
    parent: root,
    state: cm.EditorState.create({
      doc: draft ?? began,
      extensions: [
        cm.lineNumbers(), cm.foldGutter(), cm.highlightSpecialChars(), cm.history(), cm.drawSelection(), cm.indentOnInput(),
        cm.bracketMatching(), cm.highlightActiveLine(), cm.lintGutter(), cm.yaml(), cm.indentUnit.of("  "),
        cm.syntaxHighlighting(colours), cm.EditorView.lineWrapping, cm.EditorView.theme(theme),
        cm.EditorView.contentAttributes.of({ tabindex: "0", "aria-label": form.querySelector("label[for=text]").textContent }),
        // Tab leaves the editor, as everywhere else; Ctrl+M lets it indent (CodeMirror's own advice for keyboards alone).
        cm.keymap.of([...cm.defaultKeymap, ...cm.historyKeymap, ...cm.foldKeymap, ...cm.searchKeymap]),
        cm.EditorView.updateListener.of((update) => update.docChanged && typed()),
      ],
    }),
  });
  area.hidden = true;
  const mark = () => {
    const wrong = JSON.parse(document.getElementById("checked")?.dataset.bChecked || "[]");
    const lines = view.state.doc.lines;
    const found = wrong.map(({ line, message }) => {
      const at = view.state.doc.line(Math.min(Math.max(line, 1), lines));
      return { from: at.from, to: at.to, severity: "error", message };
    });
    view.dispatch(cm.setDiagnostics(view.state, found));
  };
  document.addEventListener("htmx:afterSwap", (event) => event.detail.target.id === "checked" && place.isConnected && mark());
  document.addEventListener("click", (event) => {
    if (!place.isConnected) return; // the form has taken its place
    const jump = event.target.closest("[data-b-line]");
    if (jump) {
      const at = view.state.doc.line(Math.min(Number(jump.dataset.bLine), view.state.doc.lines));
      view.dispatch({ selection: { anchor: at.from }, effects: cm.EditorView.scrollIntoView(at.from, { y: "center" }) });
      view.focus();
    }
    if (event.target.closest("[data-b-drop]")) view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: began } });
  });
  const told = form.elements.message; // what changes, in words: kept beside the text
  const words = `${key}:words`;
  told.value ||= localStorage.getItem(words) ?? "";
  told.addEventListener("input", () => localStorage.setItem(words, told.value));
  form.addEventListener("htmx:afterRequest", (event) => {
    if (event.detail.elt !== form || !event.detail.xhr?.getResponseHeader("HX-Redirect")) return;
    [key, words].forEach((name) => localStorage.removeItem(name));
  });
  if (draft !== null && draft !== began) typed();
  mark();
};

const all = () => document.querySelectorAll("[data-b-code]:not([data-started])").forEach((host) => {
  host.dataset.started = "yes";
  start(host);
});
document.addEventListener("htmx:load", all);
all();
