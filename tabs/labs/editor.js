// The labs' editor: Gradio's CodeMirror taught to write Python. The one file that reaches into it: its bundle exports nothing,
// so classes are taken from the running editor by what they can do, never by a name that a build may change.
(() => {
  const INDENT = 4;
  // What a word is -> how it is drawn (look.css); everything else is ink.
  const COLOURS = {
    keyword: "var(--accent)", atom: "var(--accent)", bool: "var(--accent)",
    string: "var(--value)", number: "var(--key)", comment: "var(--muted)", meta: "var(--muted)",
  };

  const view = () => document.querySelector("#editor .cm-content")?.cmTile?.view ?? null;
  const blanks = (count) => " ".repeat(count);
  const indentOf = (text) => /^[ \t]*/.exec(text)[0].length;
  const cursor = (state, at) => state.selection.constructor.cursor(at);

  // A line without its strings' insides and its comment.
  const bare = (text) => text.replace(/("|')(?:\\.|(?!\1).)*\1/g, "''").replace(/#.*$/, "").trimEnd();

  const typed = (editor, change, event) => editor.dispatch(editor.state.update(change, { scrollIntoView: true, userEvent: event }));

  const newLine = (editor) => {
    const { state } = editor;
    const change = state.changeByRange(({ from, to }) => {
      const line = state.doc.lineAt(from), last = state.doc.lineAt(to);
      const before = line.text.slice(0, from - line.from), after = last.text.slice(to - last.from);
      const indent = indentOf(before), deeper = /[:([{]$/.test(bare(before)) ? INDENT : 0;
      const closes = deeper && /^\s*[)\]}]/.test(after);
      const inserted = `\n${blanks(indent + deeper)}`;
      const changes = { from, to: to + indentOf(after), insert: inserted + (closes ? `\n${blanks(indent)}` : "") };
      return { changes, range: cursor(state, from + inserted.length) };
    });
    typed(editor, change, "input");
    editor.scrollDOM.scrollLeft = 0; // after a long line CodeMirror would go back only as far as the caret
  };

  const selectedLines = (state) => {
    const found = new Map();
    for (const { from, to, empty } of state.selection.ranges) {
      for (let at = from; at <= to; ) {
        const line = state.doc.lineAt(at);
        if (empty || line.from < to || line.from === from) found.set(line.number, line);
        at = line.to + 1;
      }
    }
    return [...found.values()];
  };
  const indentLines = (editor) => {
    const { state } = editor;
    if (state.selection.ranges.every(({ empty }) => empty)) {
      const change = state.changeByRange(({ from }) => {
        const column = from - state.doc.lineAt(from).from, insert = blanks(INDENT - (column % INDENT));
        return { changes: { from, insert }, range: cursor(state, from + insert.length) };
      });
      return typed(editor, change, "input.indent");
    }
    const changes = selectedLines(state).filter(({ length }) => length).map(({ from }) => ({ from, insert: blanks(INDENT) }));
    typed(editor, { changes }, "input.indent");
  };
  const dedentLines = (editor) => {
    const changes = selectedLines(editor.state)
      .map(({ from, text }) => ({ from, to: from + Math.min(indentOf(text), indentOf(text) % INDENT || INDENT) }))
      .filter(({ from, to }) => to > from);
    typed(editor, { changes }, "delete.dedent");
  };
  const backspace = (editor) => {
    const { state } = editor, { main, ranges } = state.selection;
    const { from, text } = state.doc.lineAt(main.head), column = main.head - from;
    if (ranges.length > 1 || !main.empty || !column || /[^ ]/.test(text.slice(0, column))) return false;
    typed(editor, { changes: { from: main.head - (column % INDENT || INDENT), to: main.head } }, "delete.backward");
    return true;
  };

  // CodeMirror closes a triple quote by itself; whoever types the closing one goes over it, quote by quote.
  const overQuote = (editor, quote) => {
    const { state } = editor, { main, ranges } = state.selection;
    const line = state.doc.lineAt(main.head), column = main.head - line.from;
    const run = (text) => text.length - text.replace(new RegExp(`^${quote}+`), "").length;
    const after = run(line.text.slice(column)), before = run([...line.text.slice(0, column)].reverse().join(""));
    if (ranges.length > 1 || !main.empty || !after || (before + after) % 3) return false;
    editor.dispatch({ selection: { anchor: main.head + 1 } });
    return true;
  };

  // ---- Find: the browser's own sees only the lines that are drawn.
  const find = { bar: null };
  const matches = (editor, wanted) => {
    const text = editor.state.doc.toString().toLowerCase(), found = [];
    for (let at = text.indexOf(wanted); wanted && at >= 0; at = text.indexOf(wanted, at + wanted.length)) found.push(at);
    return found;
  };
  const step = (by) => {
    const editor = view(), wanted = find.bar.querySelector("input").value.toLowerCase(), found = matches(editor, wanted);
    const said = find.bar.querySelector("output");
    said.textContent = wanted ? "not found" : "";
    if (!found.length) return;
    const here = editor.state.selection.main.from;
    const next = by > 0 ? found.findIndex((at) => at > here) : by < 0 ? found.findLastIndex((at) => at < here) : found.findIndex((at) => at >= here);
    const index = next >= 0 ? next : by < 0 ? found.length - 1 : 0;
    said.textContent = `${index + 1} of ${found.length}`;
    editor.dispatch({ selection: { anchor: found[index], head: found[index] + wanted.length }, scrollIntoView: true });
    layersOf(editor)?.find(found[index], found[index] + wanted.length);
  };
  const closeFind = () => {
    find.bar.remove();
    layersOf(view())?.find(0, 0);
    view().focus();
  };
  const openFind = (editor) => {
    const { main } = editor.state.selection;
    if (!find.bar?.isConnected) {
      find.bar = document.createElement("div");
      find.bar.className = "editor-find";
      find.bar.setAttribute("role", "search");
      find.bar.innerHTML = '<input type="text" aria-label="Find in your file" placeholder="Find" spellcheck="false"><output aria-live="polite"></output>'
        + '<button type="button" aria-label="Previous">↑</button><button type="button" aria-label="Next">↓</button><button type="button" aria-label="Close">✕</button>';
      const [up, down, close] = find.bar.querySelectorAll("button");
      up.onclick = () => step(-1);
      down.onclick = () => step(1);
      close.onclick = closeFind;
      find.bar.querySelector("input").oninput = () => step(0);
      find.bar.onkeydown = (event) => {
        if (event.key === "Escape") closeFind();
        else if (event.key === "Enter" && event.target.matches("input")) step(event.shiftKey ? -1 : 1);
        else return;
        event.preventDefault();
      };
      editor.dom.append(find.bar);
    }
    const field = find.bar.querySelector("input");
    if (!main.empty) field.value = editor.state.sliceDoc(main.from, main.to).split("\n")[0];
    field.focus();
    field.select();
    step(0);
  };

  // ---- The lines that a report names.
  const inside = function* (extension, seen = new Set()) {
    if (!extension || typeof extension !== "object" || seen.has(extension)) return;
    seen.add(extension);
    yield extension;
    for (const part of Array.isArray(extension) ? extension : [extension.extension, extension.inner, extension.value]) yield* inside(part, seen);
  };
  // What is drawn over the text: `line` marks whole lines and goes from one that is edited, `found` marks a match.
  const layers = new WeakMap();
  const layersOf = (editor) => {
    if (layers.has(editor)) return layers.get(editor);
    const drawn = editor.plugins.map(({ value }) => value?.decorations).find((set) => set?.iter && set.iter().value);
    if (!drawn) return null; // not a word is coloured yet
    const View = editor.constructor, Effect = View.scrollIntoView(0).constructor;
    const Field = [...inside(editor.state.config.base)].find((part) => part.updateF && part.constructor.define).constructor;
    const Decoration = Object.getPrototypeOf(drawn.iter().value.constructor);
    const layer = () => {
      const set = Effect.define();
      const field = Field.define({
        create: () => Decoration.none,
        update(marks, { effects, docChanged, changes, startState }) {
          const told = effects.find((effect) => effect.is(set));
          if (told) return Decoration.set(told.value);
          if (!docChanged) return marks;
          const untouched = (from) => !changes.touchesRange(from, startState.doc.lineAt(from).to);
          return marks.update({ filter: untouched }).map(changes);
        },
        provide: (field) => View.decorations.from(field),
      });
      editor.dispatch({ effects: Effect.appendConfig.of(field) });
      return (ranges) => editor.dispatch({ effects: set.of(ranges) });
    };
    const [lines, found] = [layer(), layer()];
    const line = Decoration.line({ class: "line-reported" }), match = Decoration.mark({ class: "text-found" });
    layers.set(editor, {
      mark: (starts) => lines(starts.map((from) => line.range(from))),
      find: (from, to) => found(to > from ? [match.range(from, to)] : []),
    });
    return layers.get(editor);
  };
  // Where a line of what was handed in stands now: at its number, or the nearest with the same text; null where it is gone.
  const placeOf = (doc, { line, text }) => {
    const same = (number) => number >= 1 && number <= doc.lines && doc.line(number).text.trimEnd() === text.trimEnd();
    for (let away = 0; away <= doc.lines; away++) {
      const number = [line + away, line - away].find(same);
      if (number) return doc.line(number);
    }
    return null;
  };
  const told = () => JSON.parse(document.querySelector("#state [data-marks]")?.dataset.marks ?? "[]");
  let marked = ""; // what is marked, and in which editor
  let markedIn = null;
  const mark = () => {
    const editor = view(), wanted = document.querySelector("#state [data-marks]")?.dataset.marks ?? "";
    if (!editor || (wanted === marked && editor === markedIn)) return;
    const ours = layersOf(editor);
    if (!ours) return;
    const places = told().map((one) => placeOf(editor.state.doc, one));
    if (places.includes(null)) return; // another file, or the draft is still to come: asked again when the text changes
    [marked, markedIn] = [wanted, editor];
    const starts = [...new Set(places.map(({ from }) => from))].sort((one, other) => one - other);
    ours.mark(starts);
  };
  const goTo = (number) => {
    const editor = view();
    if (!editor) return;
    const { doc } = editor.state, known = told().find(({ line }) => line === number);
    const line = (known && placeOf(doc, known)) ?? doc.line(Math.min(Math.max(number, 1), doc.lines));
    editor.dispatch({ selection: { anchor: line.from + indentOf(line.text) } });
    const { top, height } = editor.lineBlockAt(line.from), box = editor.scrollDOM;
    box.scrollTop = top - (box.clientHeight - height) / 2; // CodeMirror's own way would move the page as well
    box.scrollLeft = 0;
    document.getElementById("editor").scrollIntoView({ block: "nearest" });
    editor.focus();
  };

  // ---- The same draft in another window: what is typed there stands here, as long as the reader is there and not here.
  window.addEventListener("storage", ({ key, newValue }) => {
    const editor = view();
    if (!editor || newValue === null || key !== `attention-labs-draft:${window.labOnDesk}` || editor.hasFocus) return;
    const now = editor.state.doc.toString(), most = Math.min(now.length, newValue.length);
    let from = 0, back = 0; // what is alike at both ends stays, and with it the caret
    while (from < most && now[from] === newValue[from]) from++;
    while (back < most - from && now.at(-1 - back) === newValue.at(-1 - back)) back++;
    if (now !== newValue) editor.dispatch({ changes: { from, to: now.length - back, insert: newValue.slice(from, newValue.length - back) } });
  });

  // ---- Colours, of every editor on the page: the classes that each of its own styles gives to a kind of word.
  const coloured = new WeakSet(); // configurations, and the styles in them
  const colour = (config) => {
    if (!config || coloured.has(config)) return;
    coloured.add(config);
    const styles = [...inside(config.base)].filter((part) => part.specs && part.style && !coloured.has(part));
    const rules = [];
    for (const style of styles) {
      coloured.add(style);
      const tags = style.specs.flatMap(({ tag }) => tag);
      const named = tags.filter((tag) => COLOURS[tag]); // last, since several kinds may share a class
      for (const tag of [...tags, ...named]) rules.push(`.${style.style([tag])} { color: ${COLOURS[tag] ?? "var(--ink)"} !important; font-style: normal; }`);
    }
    document.head.appendChild(document.createElement("style")).textContent = rules.join("\n");
  };

  document.addEventListener("keydown", (event) => {
    const editor = event.target.closest?.("#editor .cm-content")?.cmTile?.view;
    if (!editor || event.isComposing) return;
    const command = event.ctrlKey || event.metaKey, leaving = editor.inputState?.tabFocusMode > -1; // after Esc, Tab leaves
    const done = () => {
      if (event.key === "Enter" && command && !event.altKey) return document.querySelector("#check")?.click(), true;
      if (event.key.toLowerCase() === "f" && command && !event.shiftKey && !event.altKey) return openFind(editor), true;
      if (command || event.altKey) return false;
      if (event.key === "Enter" && !document.querySelector(".cm-tooltip-autocomplete")) return newLine(editor), true;
      if (event.key === "Tab" && !leaving) return (event.shiftKey ? dedentLines : indentLines)(editor), true;
      if (event.key === '"' || event.key === "'") return overQuote(editor, event.key);
      return event.key === "Backspace" && backspace(editor);
    };
    if (!done()) return;
    event.preventDefault();
    event.stopPropagation();
  }, true);
  document.addEventListener("click", (event) => {
    const named = event.target.closest?.("[data-line]"), jump = event.target.closest?.("[data-jump]");
    if (named) goTo(Number(named.dataset.line));
    if (jump) document.getElementById(jump.dataset.jump)?.scrollIntoView({ block: "start" });
  });
  // Whoever reads the report needs the verdict beside it, and not what stands below: on a phone that is a third of the window.
  document.addEventListener("scroll", () => {
    const report = document.getElementById("report"), top = report?.getBoundingClientRect().top;
    document.querySelector(".bench")?.classList.toggle("beside-report", Boolean(report?.childElementCount) && top < innerHeight / 2);
  }, { passive: true });
  let waiting = false;
  new MutationObserver(() => {
    if (waiting) return;
    waiting = true;
    setTimeout(() => {
      waiting = false;
      document.querySelectorAll(".cm-content").forEach((text) => colour(text.cmTile?.view?.state.config));
      mark();
    }, 60);
  }).observe(document.documentElement, { childList: true, subtree: true });
})();
