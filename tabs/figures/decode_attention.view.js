// One decode query walks through attention's four steps; every box carries its shape, every number the expression that made it.
const { h } = Tree;
const { rules, best } = DecodeSays;
const { fixed } = Numbers;
const SIZE = 2;

const says = (state, a) => DecodeSays.says(state, a).join(" ");

const cells = (values, digits, role, x, y, cell, why, shown = true, high = 30) => values.map((value, i) => [
  h("rect", { class: shown ? `${role} soft` : "", fill: shown ? null : "var(--panel)", x: x + i * cell, y, width: cell - 3, height: high, rx: 3, "data-why": shown ? why(i) : null }),
  shown ? h("text", { x: x + i * cell + (cell - 3) / 2, y: y + high / 2 + 5, "text-anchor": "middle" }, fixed(value, digits)) : "",
]);

const rowOf = (label, shape, values, digits, role, y, width, why, shown) => {
  const left = Math.min(150, width * 0.3), cell = Math.min(84, (width - left) / 4);
  return [h("text", { class: shown ? `tinted ${role}` : "note", x: 0, y: y + 14, style: "font-family:var(--sans)", "font-weight": 600 }, label), h("text", { class: "note", x: 0, y: y + 29, style: "font-size:12px;font-family:var(--mono)" }, shape), cells(values, digits, role, left, y, cell, why, shown)];
};

const pipeline = (state, a, width) => {
  const root = state.scaled ? Math.sqrt(state.query.length) : 1, gap = 52, high = 4 * gap + 8;
  return h("svg", { viewBox: `0 0 ${width} ${high}`, role: "img", "aria-label": says(state, a) },
    rowOf("Scores", "[1, 4]", a.scores, 2, "scores", 4, width, (k) => `q · k${k + 1} = ${state.query.map((q, i) => `${q}×${state.keys[k][i]}`).join(" + ")} = ${fixed(a.scores[k], 4)}`, state.step >= 1),
    rowOf("Scaled", "[1, 4]", a.scaled, 3, "scores", 4 + gap, width, (k) => `${fixed(a.scores[k], 4)} × ${Numbers.typed(state.sharpness)} / ${fixed(root, 2)} = ${fixed(a.scaled[k], 4)}`, state.step >= 2),
    rowOf("Weights", "[1, 4]", a.weights, 3, "scores", 4 + 2 * gap, width, (k) => `exp(${fixed(a.scaled[k], 3)}) / Σ exp = ${fixed(a.weights[k], 6)}`, state.step >= 3),
    rowOf("Output", "[1, 2]", a.out, 4, "value", 4 + 3 * gap, width, (j) => a.weights.map((w, k) => `${fixed(w, 3)}×${state.values[k][j]}`).join(" + ") + ` = ${fixed(a.out[j], 6)}`, state.step >= 4));
};

const bars = (a, width) => {
  const high = 64, heavy = best(a.weights);
  return h("svg", { viewBox: `0 0 ${width} ${high}`, role: "img", "aria-label": "The four weights side by side" },
    a.weights.map((w, k) => {
      const before = a.weights.slice(0, k).reduce((s, v) => s + v, 0), x = before * width, wide = w * width;
      return [h("rect", { class: `scores ${heavy.includes(k + 1) ? "mark" : "soft"}`, x, y: 4, width: Math.max(0, wide - 2), height: 28, rx: 3, "data-why": `weight of key ${k + 1}: ${fixed(w, 6)}` }),
        wide > 40 ? h("text", { class: "note", x: x + wide / 2, y: 50, "text-anchor": "middle", style: "font-size:12px" }, `key ${k + 1}`) : ""];
    }));
};

const blocks = (state, a) => {
  const steps = DecodeAttention.inBlocks(a.scaled, state.values, SIZE);
  return h("table", {}, h("caption", {}, "The same output, two keys at a time: nothing but m, l and acc is kept"),
    h("thead", {}, h("tr", {}, ["keys", "m", "alpha", "l", "acc", "acc / l"].map((t) => h("th", { scope: "col" }, t)))),
    h("tbody", {}, steps.map((s) => h("tr", {}, h("th", { scope: "row" }, `${s.first + 1}, ${s.first + SIZE}`), h("td", { class: "fig-tint running-max" }, fixed(s.m_i, 3)), h("td", {}, fixed(s.alpha, 3)), h("td", { class: "fig-tint running-sum" }, fixed(s.l_i, 3)),
      h("td", {}, s.acc.map((v) => fixed(v, 3)).join("  ")), h("td", { class: "fig-tint value" }, s.acc.map((v) => fixed(v / s.l_i, 4)).join("  "))))));
};

const matrix = (api, path, name, rows, columns, role) => h("div", {}, h("p", { class: `fig-tint ${role}` }, `${name} `, h("span", { class: "fig-label" }, `[${rows}, ${columns}]`)),
  Array.from({ length: rows }, (_, r) => h("div", { class: "fig-row tight fig-matrix" }, Array.from({ length: columns }, (_, c) =>
    api.field(rows === 1 ? `${path}.${c}` : `${path}.${r}.${c}`, { label: `${name} ${rows === 1 ? "" : `row ${r + 1}, `}column ${c + 1}`, quiet: true, role, step: 0.1, digits: 2, chars: 4 })))));

Figure.mount(element, props, {
  rules,
  view: (state, api) => {
    const a = DecodeAttention.attention(state), bytes = DecodeAttention.stepBytes({ seqlen_kv: 4096, head_dim: 128, value_dim: 128 });
    const go = (step) => api.set({ step });
    return [
      h("div", { class: "fig-row" }, matrix(api, "query", "Query", 1, 4, "query")),
      h("div", { class: "fig-row" }, matrix(api, "keys", "Keys", 4, 4, "key"), matrix(api, "values", "Values", 4, 2, "value")),
      h("div", { class: "fig-row tight", role: "group", "aria-label": "Steps" }, props.steps.map((name, i) => Controls.toggle(`${i + 1}. ${name}`, state.step === i + 1, () => go(i + 1))),
        Controls.button("◂", () => go(Math.max(0, state.step - 1)), { disabled: state.step === 0, "aria-label": "Step back" }), Controls.button("▸", () => go(state.step + 1), { disabled: state.step === 4, "aria-label": "Step forward" })),
      h("p", { class: "fig-say" }, says(state, a)),
      pipeline(state, a, api.width),
      state.step >= 3 ? bars(a, api.width) : null,
      state.step ? h("p", { class: "fig-label" }, `As a kernel of its own at 4,096 keys and d = 128 in fp16, this step moves ${Numbers.bytes(bytes[state.step - 1])}.`) : null,
      api.slider("sharpness", { label: "Sharpness", step: 0.5, digits: 2, least: 0, most: 20, role: "scores" }),
      h("div", { class: "fig-row tight" }, Controls.toggle("Leave out step 2", !state.scaled, () => api.set({ scaled: !state.scaled })), Controls.toggle("In blocks of two keys", state.blocked, () => api.set({ blocked: !state.blocked }))),
      state.blocked ? blocks(state, a) : null,
    ];
  },
  twin: (state) => {
    const a = DecodeAttention.attention(state);
    return { caption: `Output: ${a.out.map((o) => fixed(o, 4)).join(", ")}`, head: ["", "score", "scaled", "weight", "value"], rows: a.scores.map((s, k) => [`key ${k + 1}`, fixed(s, 4), fixed(a.scaled[k], 4), fixed(a.weights[k], 4), state.values[k].join(", ")]) };
  },
  say: (state) => says(state, DecodeAttention.attention(state)),
});
