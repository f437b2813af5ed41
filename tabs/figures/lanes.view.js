// Programs as tiles over a matrix, one program's lanes, where each leads in memory, and the ten lines that do it.
const { h } = Tree;
const { rules, check, inside, count, code, says } = LanesOf;
const LINES = 10, FIRST = 2, LAST = 7; // the lines that every program runs
const kindOf = (lane, masked) => (lane.mask ? "query" : masked ? "masked" : "wrong");
const where = { element: "its own element", other: "another lane's element", gap: "memory between elements", beyond: "memory past the last element" };
const why = (lane, state, at) => `lane (${Math.floor(at / state.block_n)}, ${at % state.block_n}): ${lane.row} × ${state.stride_row} + ${lane.col} × ${state.stride_col} = ${lane.address}; ${lane.mask ? "an element" : state.masked ? "masked: touches nothing" : `not masked: touches ${where[lane.lands]}`}`;

// The matrix, and the tiles that hang over its edge.
const matrix = (state, api) => {
  const { rows, cols, block_m, block_n } = state, [tall, wide] = Lanes.grid(state), all = Lanes.lanes(state);
  const left = 28, top = 4, cell = Math.min(32, (api.width - left - 4) / (wide * block_n)), X = (c) => left + c * cell, Y = (r) => top + r * cell;
  const tile = (m, n) => {
    const program = m * wide + n, on = program === state.program, choose = () => api.set({ program });
    return h("g", { class: "fig-key", role: "button", tabindex: 0, "aria-pressed": String(on), "aria-label": `program (${m}, ${n})`, style: "cursor:pointer", onclick: choose, onkeydown: (e) => (e.key === "Enter" || e.key === " ") && (e.preventDefault(), choose()) },
      h("rect", { x: X(n * block_n) + 1, y: Y(m * block_m) + 1, width: block_n * cell - 2, height: block_m * cell - 2, rx: 3, fill: "transparent", stroke: on ? "var(--query)" : "var(--muted)", "stroke-width": on ? 3 : 1, "stroke-dasharray": on ? null : "3 3" }));
  };
  const lane = (one, at) => h("g", { "data-why": why(one, state, at), onclick: () => api.set({ lane: at, line: 4 }), style: "cursor:pointer" },
    h("rect", { class: one.mask ? "query soft" : state.masked ? "masked" : "wrong soft", x: X(one.col) + 2, y: Y(one.row) + 2, width: cell - 4, height: cell - 4, rx: 2, stroke: at === state.lane ? "var(--ink)" : "none", "stroke-width": 2 }),
    h("text", { class: one.mask ? "" : state.masked ? "note" : "tinted wrong", x: X(one.col) + cell / 2, y: Y(one.row) + cell / 2 + 4, "text-anchor": "middle", style: `font-size:${cell < 26 ? 10 : 12}px` }, one.mask || !state.masked ? String(one.address) : ""));
  return h("svg", { viewBox: `0 0 ${api.width} ${top + tall * block_m * cell + 4}`, role: "group", "aria-label": `x, ${rows} × ${cols}, in ${tall} × ${wide} tiles` },
    Array.from({ length: rows }, (_, r) => h("text", { class: "note", x: 4, y: Y(r) + cell / 2 + 4, style: "font-size:12px" }, String(r))),
    Array.from({ length: rows * cols }, (_, i) => h("rect", { fill: "var(--panel)", x: X(i % cols) + 1, y: Y(Math.floor(i / cols)) + 1, width: cell - 2, height: cell - 2, rx: 2 })),
    h("g", {}, Array.from({ length: tall * wide }, (_, p) => tile(Math.floor(p / wide), p % wide))),
    h("g", {}, all.map(lane)));
};

// Memory as it is: one long row, here broken into lines of 16.
const memory = (state, api) => {
  const PER_LINE = 16, size = Lanes.storage(state), elements = Lanes.held(state), all = Lanes.lanes(state);
  const touched = new Map();
  all.forEach((one, at) => (one.mask || !state.masked) && touched.set(one.address, [one, at]));
  const end = Math.max(size, ...[...touched.keys()].map((address) => address + 1)), shown = Math.min(end, 16 * PER_LINE), cell = Math.min(32, (api.width - 40) / PER_LINE), high = 24;
  return h("svg", { viewBox: `0 0 ${api.width} ${Math.ceil(shown / PER_LINE) * high + 4}`, role: "img", "aria-label": `Memory: ${elements.size} addresses hold elements; this program touches ${touched.size}` },
    Array.from({ length: shown }, (_, address) => {
      const x = 36 + (address % PER_LINE) * cell, y = Math.floor(address / PER_LINE) * high, element = elements.get(address), hit = touched.get(address), kind = hit && kindOf(hit[0], state.masked);
      return [
        address % PER_LINE ? "" : h("text", { class: "note", x: 0, y: y + 16, style: "font-size:11px;font-family:var(--mono)" }, String(address)),
        h("rect", { class: hit ? `${kind} soft` : "", fill: hit ? null : element ? "var(--panel)" : "none", stroke: hit && hit[1] === state.lane ? "var(--ink)" : element || hit ? "none" : "var(--rule)", "stroke-width": hit && hit[1] === state.lane ? 2 : 1, x: x + 1, y: y + 1, width: cell - 2, height: high - 3, rx: 2,
          "data-why": hit ? why(hit[0], state, hit[1]) : element ? `address ${address}: element (${element.join(", ")})` : address < size ? `address ${address}: between elements` : `address ${address}: past the last element` }),
        element ? h("text", { class: hit ? "" : "note", x: x + cell / 2, y: y + 15, "text-anchor": "middle", style: `font-size:${cell < 26 ? 9 : 11}px` }, cell < 26 ? `${element[0]}${element[1].toString(16)}` : element.join(",")) : hit ? h("text", { class: "tinted wrong", x: x + cell / 2, y: y + 15, "text-anchor": "middle", style: "font-size:11px" }, "✗") : "",
      ];
    }));
};

Figure.mount(element, props, {
  rules,
  check,
  view: (state, api) => {
    const sized = (path) => ({ ...{ label: { rows: "Rows", cols: "Columns", stride_row: "stride(0)", stride_col: "stride(1)", block_m: "BM", block_n: "BN" }[path], rule: rules[path], value: state[path], step: 1, digits: 0, chars: 3 }, log: path.startsWith("block"), role: path.startsWith("stride") ? "key" : path.startsWith("block") ? "query" : "", onValue: (value) => api.set(inside({ ...api.state, [path]: value })) });
    // The lines of one program, then the next program's.
    const next = () => {
      const { line, program } = api.state;
      if (line >= FIRST && line < LAST) return api.set({ line: line + 1 });
      return line === LAST ? api.set({ line: FIRST, program: (program + 1) % count(api.state) }) : api.set({ line: FIRST });
    };
    return [
      h("div", { class: "fig-row" }, ["rows", "cols", "stride_row", "stride_col", "block_m", "block_n"].map((path) => h(Controls.Field, sized(path)))),
      h("div", { class: "fig-row tight" }, Controls.button("Step ▸", next), Controls.button(api.playing ? "Pause" : "Play", () => api.play(() => { next(); return true; }, 1100)),
        Controls.toggle("Leave out the mask", !state.masked, () => api.set({ masked: !state.masked })),
        Controls.button("Contiguous", () => api.set({ stride_row: state.cols, stride_col: 1 })), Controls.button("Transposed", () => api.set({ stride_row: 1, stride_col: state.rows }))),
      h("p", { class: "fig-label" }, `x [${state.rows}, ${state.cols}], a tile [${state.block_m}, ${state.block_n}] for each program. `, h("span", { class: "fig-tint query" }, `Program (${Lanes.place(state).join(", ")})`), " holds the addresses shown; press another tile."),
      matrix(state, api),
      h("p", { class: "fig-label" }, "Memory, by address; each element with its row and column, what this program touches in colour:"),
      memory(state, api),
      h("div", { class: "fig-code", role: "group", "aria-label": "Ten lines" }, code(state).map((text, line) =>
        h("div", { class: `${line === state.line ? "lit" : ""} query`, role: "button", tabindex: 0, "aria-pressed": String(line === state.line), style: "cursor:pointer", onclick: () => api.set({ line }), onkeydown: (e) => (e.key === "Enter" || e.key === " ") && (e.preventDefault(), api.set({ line })) }, text))),
      h("p", { class: "fig-say" }, says(state).join(" ")),
    ];
  },
  twin: (state) => ({
    caption: `Program (${Lanes.place(state).join(", ")}), lane by lane`, head: ["lane", "row", "column", "address", "mask", "touches"],
    rows: Lanes.lanes(state).map((one, at) => [`(${Math.floor(at / state.block_n)}, ${at % state.block_n})`, one.row, one.col, one.address, String(one.mask), one.mask || !state.masked ? where[one.lands] : "nothing"]),
  }),
  say: (state) => says(state).join(" "),
});
