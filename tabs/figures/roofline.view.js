// The roof of a GPU, both axes logarithmic; under it what a workload could reach, our kernels, and the reader's own attempts.
const { h } = Tree;
const { YOURS, CACHES, short, brief, workloads } = RoofSays, rules = RoofSays.rules(props.roofs);
// log10 of FLOP per byte, of TFLOP/s. The same for every GPU, so that one roof can be seen to be higher than another.
const X = [-1, 5.4], Y = [-1.3, 3.4], HIGH = 360, EDGE = { left: 48, right: 12, top: 16, bottom: 44 };
let figure;

const own = () => (figure && figure.own && figure.own.device ? figure.own : null); // {} is for a reader without timed attempts
const roofOf = (state) => (state.device === YOURS && own()) || props.roofs.find((roof) => roof.device === state.device) || props.roofs[0];
const kernelsOf = (roof) => (props.roofs.find(({ device }) => device === roof.device) || { kernels: [] }).kernels;
const attemptsOf = (roof) => (own() && own().device === roof.device ? own().attempts : []);
const grouped = (value) => Math.round(value).toLocaleString("en");

const chart = (state, width) => {
  const roof = roofOf(state), floor = HIGH - EDGE.bottom, corner = Roofline.ridge(roof);
  const scale = (value, [low, high], from, to) => from + ((to - from) * (Math.min(high, Math.max(low, Math.log10(value))) - low)) / (high - low);
  const x = (intensity) => scale(intensity, X, EDGE.left, width - EDGE.right), y = (tflops) => scale(tflops, Y, floor, EDGE.top);
  const most = (intensity) => Roofline.attainable(roof, intensity), start = Math.max(10 ** X[0], (10 ** Y[0] * 1e3) / roof.bandwidth_gb_s);
  const beside = 10 ** ((Math.log10(start) + Math.log10(corner)) / 2);
  const diamond = (px, py) => `M${px} ${py - 6}L${px + 6} ${py}L${px} ${py + 6}L${px - 6} ${py}Z`;
  const star = (px, py) => `M${Array.from({ length: 10 }, (_, i) => `${(px + (i % 2 ? 3.5 : 8) * Math.sin((Math.PI * i) / 5)).toFixed(1)} ${(py - (i % 2 ? 3.5 : 8) * Math.cos((Math.PI * i) / 5)).toFixed(1)}`).join("L")}Z`;
  const point = (role, shape) => ({ name, intensity, tflops }) =>
    h("path", { class: `${role} mark`, d: shape(x(intensity), y(tflops)), "data-why": `${name}: ${brief(tflops)} TFLOP/s at ${brief(intensity)} FLOP a byte, ${Math.round((100 * tflops) / most(intensity))}% of the roof there` });
  return h("svg", { viewBox: `0 0 ${width} ${HIGH}`, role: "img", "aria-label": told(state) },
    [0, 1, 2, 3, 4, 5].map((power) => [h("line", { class: "axis", x1: x(10 ** power), x2: x(10 ** power), y1: EDGE.top, y2: floor }), h("text", { class: "note", x: x(10 ** power), y: floor + 18, "text-anchor": "middle" }, power > 3 ? `${10 ** (power - 3)}k` : String(10 ** power))]),
    [-1, 0, 1, 2, 3].map((power) => [h("line", { class: "axis", x1: EDGE.left, x2: width - EDGE.right, y1: y(10 ** power), y2: y(10 ** power) }), h("text", { class: "note", x: EDGE.left - 8, y: y(10 ** power) + 4, "text-anchor": "end" }, power < 0 ? "0.1" : String(10 ** power))]),
    h("text", { class: "note", x: 0, y: 8 }, "TFLOP/s"), h("text", { class: "note", x: width - EDGE.right, y: HIGH - 6, "text-anchor": "end" }, "FLOP per byte moved"),
    h("path", { class: "muted line", "stroke-width": 3, "stroke-linejoin": "round", d: `M${x(start)} ${y(most(start))}L${x(corner)} ${y(roof.peak_tflops)}L${width - EDGE.right} ${y(roof.peak_tflops)}` }),
    h("text", { class: "note", x: x(beside) - 10, y: y(most(beside)) - 4, "text-anchor": "end" }, `${grouped(roof.bandwidth_gb_s)} GB/s`),
    h("text", { class: "note", x: width - EDGE.right, y: y(roof.peak_tflops) - 10, "text-anchor": "end" }, `${grouped(roof.peak_tflops)} TFLOP/s`),
    RoofSays.named(kernelsOf(roof).map(({ name, intensity, tflops }) => ({ name, x: x(intensity), y: y(tflops) })), width).map((box) => h("text", { class: "over named", x: box.x, y: box.y + 10, style: "font-size:11px;font-family:var(--sans)" }, box.text)),
    kernelsOf(roof).map(point("ink", diamond)), attemptsOf(roof).map(point("query", star)),
    workloads(state).map(({ name, told: what, intensity, why }) => [
      h("line", { class: "guide", x1: x(intensity), x2: x(intensity), y1: y(most(intensity)), y2: floor }),
      h("circle", { class: "muted ghost", cx: x(intensity), cy: y(most(intensity)), r: 6, "data-why": `${what}: ${why} = ${brief(intensity)} FLOP a byte; at most ${brief(most(intensity))} TFLOP/s` }),
      h("text", { class: "note over", x: x(intensity) + (name === "no cache" ? -6 : 6), y: floor - (name === "decode" ? 8 : name === "prefill" ? 26 : 44), "text-anchor": name === "no cache" ? "end" : "start" }, name),
    ]));
};

const legend = (roof) => [
  "Rings: the most that the workloads above can reach.",
  kernelsOf(roof).length ? "Diamonds: our kernels." : "Our kernels were not measured on this GPU.",
  attemptsOf(roof).length ? "Stars: your attempts." : "",
  roof.measured ? "Bandwidth: a copy, measured." : "Both roofs: the data sheet.",
].filter(Boolean).join(" ");

const told = (state) => RoofSays.says(state, roofOf(state)).join(" ");

figure = Figure.mount(element, props, {
  rules,
  view: (state, api) => {
    const names = [...props.roofs.map(({ device }) => [device, short(device)]), ...(own() ? [[YOURS, `yours: ${short(own().device)}`]] : [])];
    return [
      api.choice("device", "GPU", names),
      api.slider("group_size", { label: "Heads a KV head", log: true, digits: 0, step: 1, chars: 4 }),
      api.slider("seqlen", { label: "Prompt tokens", log: true, digits: 0, step: 1, chars: 8, least: 64 }),
      h("div", { class: "fig-row" }, api.choice("cache", "Cache in", CACHES), api.toggle("causal", "Causal prompt")),
      chart(state, api.width),
      h("p", { class: "fig-label" }, legend(roofOf(state))),
      h("p", { class: "fig-say" }, told(state)),
    ];
  },
  twin: (state) => {
    const roof = roofOf(state), row = (whose) => ({ name, told: what, intensity, tflops }) => {
      const most = Roofline.attainable(roof, intensity);
      return [what || name, whose, brief(intensity), brief(tflops === undefined ? most : tflops), tflops === undefined ? "100%" : `${Math.round((100 * tflops) / most)}%`];
    };
    return {
      caption: `${roof.device}: ${grouped(roof.bandwidth_gb_s)} GB/s, ${grouped(roof.peak_tflops)} TFLOP/s`,
      head: ["kernel", "whose", "FLOP a byte", "TFLOP/s", "of the roof"],
      rows: [...workloads(state).map(row("at most")), ...kernelsOf(roof).map(row("ours")), ...attemptsOf(roof).map(row("yours"))],
    };
  },
  say: told,
});

// The reader's attempts come when the tab is shown; their GPU is taken unless one was chosen, here or by a link.
watch("own", () => {
  figure.own = props.own;
  const chosen = figure.state.device !== props.defaults.device || Figure.fromAddress(location.search, props, rules).mine;
  if (own() && !chosen) figure.set({ device: YOURS });
  else figure.redraw(); // not set: it would take back what is said of a broken link
});
setTimeout(() => trigger("shown"), 0);
