// A tensor of the reader's choice in five formats: what each costs in bits and in error, one block before and after,
// the histogram of errors, and what it does to attention's output.
const { h } = Tree;
const { NAMES, LABELS, SOURCES, MOST, own, rules, percent } = QuantiseSays;
const results = (state) => QuantiseSays.results(state, props.samples);
const { fixed } = Numbers;

const table = (state, { rows }, api) => {
  const width = api.width, narrow = width < 480, name_room = narrow ? 96 : 150, right = narrow ? 150 : 250, room = width - name_room - right - 8, worst = Math.max(...NAMES.map((n) => rows[n].error || 0), 1e-9);
  const columns = narrow ? [[104, "error"], [54, "zeroed"], [4, "attn"]] : [[180, "error"], [88, "flushed to 0"], [8, "attention"]];
  return h("svg", { viewBox: `0 0 ${width} ${NAMES.length * 34 + 22}`, role: "group", "aria-label": "Five formats compared" },
    columns.map(([from, text]) => h("text", { class: "note", x: width - from, y: 12, "text-anchor": "end", style: "font-size:12px" }, text)),
    NAMES.map((name, i) => {
      const y = 22 + i * 34, { error, flushed, attention } = rows[name], on = name === state.format, choose = () => api.set({ format: name });
      return h("g", { class: "fig-key", role: "button", tabindex: 0, "aria-pressed": String(on), "aria-label": `${LABELS[name]}: ${BlockQuantisation.BITS[name]} bits a value, error ${percent(error)}`, style: "cursor:pointer", onclick: choose,
        onkeydown: (e) => (e.key === "Enter" || e.key === " ") && (e.preventDefault(), choose()), "data-why": `${LABELS[name]}: ${BlockQuantisation.BITS[name]} bits a value, ${(16 / BlockQuantisation.BITS[name]).toFixed(2)} times smaller than fp16` },
        h("rect", { x: 0, y, width, height: 32, fill: on ? "var(--panel)" : "transparent" }),
        h("text", { x: 4, y: y + 14, style: `font-family:var(--sans);font-size:${narrow ? 11 : 13}px`, "font-weight": on ? 700 : 400 }, narrow ? LABELS[name].split(",")[0] : LABELS[name]),
        h("text", { class: "note", x: 4, y: y + 28, style: "font-size:11px;font-family:var(--mono)" }, `${BlockQuantisation.BITS[name]} bits`),
        h("rect", { class: "key mark", x: name_room, y: y + 9, width: Math.max(1, (room * (error || 0)) / worst), height: 14, rx: 2 }),
        [error, flushed, attention].map((value, c) => h("text", { x: width - columns[c][0], y: y + 20, "text-anchor": "end", style: `font-size:${narrow ? 11 : 13}px` }, percent(value))));
    }));
};

const block = (state, { x, rows }, width) => {
  const size = Math.min(16, x.length), height = 128, before = x.slice(0, size).map(Math.fround), after = rows[state.format].after.slice(0, size), middle = 64, most = Math.max(...before.map(Math.abs), ...after.map(Math.abs), 1e-30), unit = 60 / most, slot = width / 16;
  return h("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `The first ${size} values before and after ${LABELS[state.format]}` },
    h("line", { class: "axis", x1: 0, x2: width, y1: middle, y2: middle }),
    before.map((value, i) => {
      const left = i * slot + 3, wide = slot - 6, bar = (v) => ({ y: v >= 0 ? middle - v * unit : middle, height: Math.abs(v) * unit });
      return h("g", { "data-why": `value ${i + 1}: ${Numbers.brief(value)} becomes ${Numbers.brief(after[i])}` },
        h("rect", { class: "key soft", x: left, width: wide, ...bar(after[i]), rx: 1 }),
        h("rect", { class: "ghost muted", x: left + 1, width: wide - 2, ...bar(value), rx: 1 }),
        value !== 0 && after[i] === 0 ? h("text", { class: "tinted wrong", x: left + wide / 2, y: middle + (value > 0 ? 16 : -6), "text-anchor": "middle", style: "font-size:12px" }, "0") : "");
    }));
};

const histogram = (state, { x, rows }, width) => {
  const after = rows[state.format].after, rms = Math.sqrt(x.reduce((s, v) => s + v * v, 0) / x.length) || 1, BINS = 41, reach = 0.5;
  const counts = Array(BINS).fill(0);
  x.forEach((value, i) => {
    const at = Math.floor(((after[i] - Math.fround(value)) / rms / (2 * reach) + 0.5) * BINS);
    counts[Math.min(BINS - 1, Math.max(0, at))] += 1;
  });
  const most = Math.max(...counts), slot = width / BINS;
  return h("svg", { viewBox: `0 0 ${width} 110`, role: "img", "aria-label": `Histogram of the errors of ${LABELS[state.format]}` },
    counts.map((count, i) => h("rect", { class: "key mark", x: i * slot + 1, y: 78 - (74 * count) / most, width: slot - 2, height: (74 * count) / most, "data-why": `${count} of ${x.length} values` })),
    h("line", { class: "axis", x1: 0, x2: width, y1: 78, y2: 78 }),
    [-0.5, 0, 0.5].map((v) => h("text", { class: "note", x: width * (v + 0.5), y: 94, "text-anchor": v < 0 ? "start" : v > 0 ? "end" : "middle", style: "font-size:12px" }, v ? fixed(v, 1) : "0")),
    h("text", { class: "note", x: width / 2, y: 109, "text-anchor": "middle", style: "font-size:12px" }, "error, as a share of the tensor's root mean square"));
};

Figure.mount(element, props, {
  rules,
  view: (state, api) => {
    const all = results(state);
    return [
      api.choice("source", "Tensor", SOURCES),
      state.source === "own" ? h(Controls.NumberList, { label: `Your numbers, up to ${MOST.toLocaleString("en")}`, rule: own, value: state.own, onValue: (own_values) => api.set({ own: own_values }) }) : null,
      table(state, all, api),
      h("p", { class: "fig-say" }, QuantiseSays.says(state, props.samples).join(" ")),
      block(state, all, api.width),
      h("p", { class: "fig-label" }, `The first ${Math.min(16, all.x.length)} values: outline before, filled after; 0 marks what was flushed.`),
      histogram(state, all, api.width),
    ];
  },
  twin: (state) => {
    const { rows } = results(state);
    return { caption: "Five formats on this tensor", head: ["", "bits a value", "× smaller than fp16", "error", "flushed to 0", "error of attention's output"],
      rows: NAMES.map((name) => [LABELS[name], BlockQuantisation.BITS[name], (16 / BlockQuantisation.BITS[name]).toFixed(2), percent(rows[name].error), percent(rows[name].flushed), percent(rows[name].attention)]) };
  },
  say: (state) => QuantiseSays.says(state, props.samples).join(" "),
});
