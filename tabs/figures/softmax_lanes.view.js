// Five scores to take hold of; four lanes of softmax beside each other; inf and NaN written into the cells they spoil.
const { h } = Tree;
const { rules } = LanesSays;
const fixed = Numbers.fixed;
const NOTES = { exact: "max subtracted, exactly", "naive fp16": "exp as written, 16 bits", "naive fp32": "exp as written, 32 bits", "stable fp16": "max subtracted, 16 bits" };
const broken = (value) => !Number.isFinite(value);
const digits3 = (value) => (broken(value) ? fixed(value) : value === 0 ? "0" : value < 5e-4 ? Numbers.power(value, 0) : value.toFixed(3));
// Above and below a bar there is room for seven characters, or five: a power of ten comes without spaces, or alone.
const tight = (text, narrow) => (text.includes(" × ") ? text.replace(narrow ? /^.* × / : " × ", narrow ? "" : "×") : narrow ? text.replace(/^0\./, ".") : text);
// As many digits as tell 11.08 from 11.09, on either side of which fp16 holds and overflows.
const label = (value) => String(Number(value.toPrecision(5))).replace("-", Numbers.MINUS);

const exponential = (value) => (broken(value) ? fixed(value) : value === 0 ? "0" : value >= 1000 || value < 5e-3 ? Numbers.power(value, 0) : fixed(value, value >= 100 ? 0 : 2));

const lane = (name, { exps, total, probs }, x, width) => {
  const height = 176, top = 36, floor = 124, slot = width / 5, bar = Math.min(40, slot - 10), sum = probs.reduce((a, b) => a + b, 0);
  const spoiled = probs.some(broken);
  const narrow = slot < 46, size = narrow ? 10 : 12;
  return h("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${name}: ${probs.map(digits3).join(", ")}`, "data-lane": name },
    h("text", { x: 0, y: 14, "font-weight": 600, style: "font-family:var(--sans)" }, name),
    width < 220 ? "" : h("text", { class: "note", x: 0, y: 31, style: "font-size:12px" }, NOTES[name]),
    h("text", { class: `tinted ${spoiled ? "wrong" : "scores"}`, x: width, y: width < 220 ? 31 : 14, "text-anchor": "end" }, `sum ${fixed(sum, 3)}`),
    h("line", { class: "axis", x1: 0, x2: width, y1: floor, y2: floor }),
    probs.map((p, i) => {
      const left = i * slot + (slot - bar) / 2, tall = broken(p) ? floor - top : p * (floor - top - 16);
      const why = `p${i + 1} = exp(x${i + 1}) / sum = ${Numbers.brief(exps[i])} / ${Numbers.brief(total)} = ${digits3(p)}`;
      return [
        h("rect", { class: broken(p) ? "wrong soft" : "scores mark", x: left, y: floor - tall, width: bar, height: Math.max(tall, 1), rx: 2, "data-why": why }),
        h("text", { class: `p ${broken(p) ? "tinted wrong" : ""}`, x: i * slot + slot / 2, y: broken(p) ? (floor + top) / 2 + 5 : floor - tall - 5, "text-anchor": "middle", "font-weight": broken(p) ? 700 : 400, style: `font-size:${size}px` }, tight(digits3(p), narrow)),
        h("text", { class: `e ${broken(exps[i]) ? "tinted wrong" : "note"}`, x: i * slot + slot / 2, y: floor + 18, "text-anchor": "middle", style: `font-family:var(--mono);font-size:${size - 1}px` }, tight(exponential(exps[i]), narrow)),
        h("text", { class: "note", x: i * slot + slot / 2, y: floor + 40, "text-anchor": "middle", style: "font-size:12px" }, label(x[i])),
      ];
    }));
};

Figure.mount(element, props, {
  rules,
  view: (state, api) => {
    const x = SoftmaxLanes.changed(state.scores, state.shift, state.temperature), lanes = SoftmaxLanes.lanes(x);
    const column = (api.width - 32) / 2;
    return [
      h("div", { class: `fig-row ${api.width < 420 ? "tight" : ""}` }, state.scores.map((_, i) => api.field(`scores.${i}`, { label: `Score ${i + 1}`, role: "scores", step: 0.5, digits: 3, chars: api.width < 420 ? 4 : 5 }))),
      api.slider("shift", { label: "Add to all", step: 0.5, digits: 2, least: -100, most: 100 }),
      api.slider("temperature", { label: "Temperature", step: 0.05, digits: 2, least: 0.05, most: 5 }),
      h("div", { style: "display:grid;grid-template-columns:1fr 1fr;gap:24px 32px" }, Object.entries(lanes).map(([name, one]) => lane(name, one, x, column))),
      h("p", { class: "fig-label" }, "Bars: probability. Below each: its exp, then the score that went in."),
      h("p", { class: "fig-say" }, LanesSays.says(state, props.limit).join(" ")),
    ];
  },
  twin: (state) => {
    const x = SoftmaxLanes.changed(state.scores, state.shift, state.temperature), lanes = SoftmaxLanes.lanes(x);
    return { caption: "Probabilities in four ways", head: ["", ...x.map((_, i) => `score ${i + 1}`), "sum"],
      rows: [["score", ...x.map((v) => fixed(v, 3)), ""], ...Object.entries(lanes).map(([name, { probs }]) => [name, ...probs.map(digits3), fixed(probs.reduce((a, b) => a + b, 0), 3)])] };
  },
  say: (state) => {
    const lanes = SoftmaxLanes.lanes(SoftmaxLanes.changed(state.scores, state.shift, state.temperature));
    return `Exact probabilities ${lanes.exact.probs.map(digits3).join(", ")}. ${LanesSays.says(state, props.limit).join(" ")}`;
  },
});
