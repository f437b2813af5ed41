// What q · k looks like as head_dim grows, and what softmax makes of it. NumPy drew the vectors (scaling.py); the page holds every head_dim.
const { h } = Tree;
const { percent } = ScalingSays, DIMS = props.spreads.map((one) => one.head_dim);
const rules = ScalingSays.rules(props.spreads);
const SHOWN = 66; // scores to either side; what lies beyond stands in the table
const kinds = (one) => [
  { name: "q · k", std: one.std, shares: one.shares, best: one.largest_weight },
  { name: "q · k / √d", std: one.std_scaled, shares: one.shares_scaled, best: one.largest_weight_scaled },
];
const at = (state) => kinds(props.spreads[DIMS.indexOf(state.head_dim)]);

// A histogram as tall as its highest bar, above an axis that both share.
const histogram = ({ name, std, shares }, width, y) => {
  const tall = 96, slot = width / (2 * SHOWN), step = props.centres[1] - props.centres[0], most = Math.max(...shares);
  return [
    h("text", { x: 0, y: y + 14, "font-weight": 600 }, name),
    h("text", { class: "note", x: 0, y: y + 32 }, `σ ${std.toFixed(1)}`),
    props.centres.map((centre, i) => {
      if (Math.abs(centre) + step / 2 > SHOWN) return null;
      const high = (tall * shares[i]) / most;
      return h("rect", { class: "scores mark", x: (centre - step / 2 + SHOWN) * slot + 0.5, y: y + tall - high, width: Math.max(1, step * slot - 1), height: high,
        "data-why": `${percent(shares[i])} of all pairs have ${name} within ${(step / 2).toFixed(1)} of ${Numbers.fixed(centre, 0)}` });
    }),
    h("line", { class: "axis", x1: 0, x2: width, y1: y + tall, y2: y + tall }),
  ];
};
const axis = (width, y) => [-60, -30, 0, 30, 60].map((value) => h("text", { class: "note", x: ((value + SHOWN) * width) / (2 * SHOWN), y, "text-anchor": "middle" }, Numbers.fixed(value, 0)));

const weight = ({ name, best }, width, y) => {
  const left = 96, room = width - left - 48;
  return [
    h("text", { x: 0, y: y + 16 }, name),
    h("rect", { class: "scores ghost", x: left, y, width: room, height: 24, rx: 2 }),
    h("rect", { class: "scores mark", x: left, y, width: room * best, height: 24, rx: 2, "data-why": `the largest of ${props.keys} weights, mean over ${props.queries} queries: ${percent(best)}` }),
    h("text", { x: width, y: y + 16, "text-anchor": "end" }, percent(best)),
  ];
};

Figure.mount(element, props, {
  rules,
  view: (state, api) => {
    const [plain, scaled] = at(state), { width } = api;
    return [
      api.slider("head_dim", { label: "head_dim d", log: true, digits: 0, step: 1, chars: 5 }),
      h("svg", { viewBox: `0 0 ${width} 264`, role: "img", "aria-label": `Histograms of q · k, standard deviation ${plain.std.toFixed(1)}, and of q · k / √d, standard deviation ${scaled.std.toFixed(1)}` },
        histogram(plain, width, 0), histogram(scaled, width, 128), axis(width, 242), h("text", { class: "note", x: width / 2, y: 260, "text-anchor": "middle" }, "score; each histogram as tall as its highest bar")),
      h("p", { class: "fig-label" }, `The best of ${props.keys} random keys gets, of a weight of one:`),
      h("svg", { viewBox: `0 0 ${width} 64`, role: "img", "aria-label": `Weight of the best key: ${percent(plain.best)} unscaled, ${percent(scaled.best)} scaled` }, weight(plain, width, 0), weight(scaled, width, 36)),
      h("p", { class: "fig-say" }, ScalingSays.says(state, props).join(" ")),
    ];
  },
  twin: () => ({
    caption: `Standard deviation of the scores and weight of the best of ${props.keys} keys`,
    head: ["d", "std of q · k", "best", "std of q · k / √d", "best"],
    rows: props.spreads.map((one) => [one.head_dim, ...kinds(one).flatMap(({ std, best }) => [std.toFixed(2), percent(best)])]),
  }),
  say: (state) => ScalingSays.says(state, props).join(" "),
});
