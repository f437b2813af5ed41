// Five scores to take hold of; four lanes of softmax beside each other; inf and NaN written into the cells they spoil.
const { h } = Tree;
const rules = {
  scores: Numbers.list(5, 5, Numbers.number(-1000, 1000)),
  shift: Numbers.number(-200, 200),
  temperature: Numbers.number(0.05, 100),
};
const fixed = Numbers.fixed;
const NOTES = { exact: "max subtracted, exactly", "naive fp16": "exp as written, 16 bits", "naive fp32": "exp as written, 32 bits", "stable fp16": "max subtracted, 16 bits" };
const broken = (value) => !Number.isFinite(value);
const digits3 = (value) => (broken(value) ? fixed(value) : value === 0 ? "0" : value < 5e-4 ? Numbers.power(value, 0) : value.toFixed(3));

const lane = (name, { exps, total, probs }, x, width) => {
  const height = 176, top = 36, floor = 124, slot = width / 5, bar = Math.min(40, slot - 10), sum = probs.reduce((a, b) => a + b, 0);
  const spoiled = probs.some(broken);
  const size = slot < 46 ? 10 : 12, short = (text) => (slot < 46 ? text.replace(/^0\./, ".") : text);
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
        h("text", { class: `p ${broken(p) ? "tinted wrong" : ""}`, x: i * slot + slot / 2, y: broken(p) ? (floor + top) / 2 + 5 : floor - tall - 5, "text-anchor": "middle", "font-weight": broken(p) ? 700 : 400, style: `font-size:${size}px` }, short(digits3(p))),
        h("text", { class: `e ${broken(exps[i]) ? "tinted wrong" : "note"}`, x: i * slot + slot / 2, y: floor + 18, "text-anchor": "middle", style: `font-family:var(--mono);font-size:${size - 1}px` }, broken(exps[i]) ? fixed(exps[i]) : exps[i] >= 1000 ? Numbers.power(exps[i], 0) : fixed(exps[i], exps[i] >= 100 ? 0 : 2)),
        h("text", { class: "note", x: i * slot + slot / 2, y: floor + 40, "text-anchor": "middle", style: "font-size:12px" }, fixed(x[i], Math.abs(x[i]) >= 100 ? 0 : 1)),
      ];
    }));
};

const sentence = (state, lanes) => {
  const naive = ["naive fp16", "naive fp32"].filter((name) => lanes[name].exps.some((e) => e === Infinity));
  if (naive.length) return `${naive.join(" and ")}: an exp is inf, so is the sum, and inf / inf is NaN. Nothing crashed; the answer is simply gone. Subtracting the max first costs nothing and cannot overflow.`;
  if (lanes["naive fp16"].total === 0) return "All exps of the naive fp16 lane are 0, and 0 / 0 is NaN.";
  const top = Math.max(...lanes.exact.probs);
  if (top > 0.999) return "One score takes everything. The ratios among the others have not changed; they are only too small to see.";
  return `All four agree, to the rounding of their formats. Push a score past ${props.limit}, or all of them with the shift, and see which lane lets go first.`;
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
      h("p", { class: "fig-say" }, sentence(state, lanes)),
    ];
  },
  twin: (state) => {
    const x = SoftmaxLanes.changed(state.scores, state.shift, state.temperature), lanes = SoftmaxLanes.lanes(x);
    return { caption: "Probabilities in four ways", head: ["", ...x.map((_, i) => `score ${i + 1}`), "sum"],
      rows: [["score", ...x.map((v) => fixed(v, 3)), ""], ...Object.entries(lanes).map(([name, { probs }]) => [name, ...probs.map(digits3), fixed(probs.reduce((a, b) => a + b, 0), 3)])] };
  },
  say: (state) => {
    const lanes = SoftmaxLanes.lanes(SoftmaxLanes.changed(state.scores, state.shift, state.temperature));
    return `Exact probabilities ${lanes.exact.probs.map(digits3).join(", ")}. ${sentence(state, lanes)}`;
  },
});
