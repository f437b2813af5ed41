// The roof of a GPU, both axes logarithmic; under it what a workload could reach, our kernels, and the reader's own attempts.
const { h } = Tree;
const YOURS = "yours"; // the GPU of the reader's newest timed attempt; the first of the others where there is none
const CACHES = [["fp16", "fp16"], ["fp8", "FP8"], ["nvfp4", "NVFP4"]];
const rules = {
  device: Numbers.oneOf(...props.roofs.map((roof) => roof.device), YOURS), group_size: Numbers.number(1, 128, { integer: true }),
  cache: Numbers.oneOf(...CACHES.map(([cache]) => cache)), seqlen: Numbers.number(1, 2 ** 20, { integer: true }),
};
// log10 of FLOP per byte, of TFLOP/s. The same for every GPU, so that one roof can be seen to be higher than another.
const X = [-1, 5.4], Y = [-1.3, 3.4], HIGH = 360, EDGE = { left: 48, right: 12, top: 16, bottom: 44 };
let figure;

const own = () => (figure && figure.own && figure.own.device ? figure.own : null); // {} is for a reader without timed attempts
const roofOf = (state) => (state.device === YOURS && own()) || props.roofs.find((roof) => roof.device === state.device) || props.roofs[0];
const kernelsOf = (roof) => (props.roofs.find(({ device }) => device === roof.device) || { kernels: [] }).kernels;
const attemptsOf = (roof) => (own() && own().device === roof.device ? own().attempts : []);
const short = (device) => device.replace(/^NVIDIA /, "");
const workloads = (state) => {
  const bits = MemoryTraffic.CACHE_BITS[state.cache], heads = `${state.group_size} ${state.group_size === 1 ? "head" : "heads"}`, name = CACHES.find(([cache]) => cache === state.cache)[1];
  return [
    { name: "decode", told: `decode, ${heads} a KV head, ${name}`, intensity: Roofline.decodeIntensity(state.group_size, bits / 8), why: `2 × ${state.group_size} / ${bits / 8} bytes` },
    { name: "prefill", told: `prefill, ${state.seqlen} tokens`, intensity: Roofline.prefillIntensity(state.seqlen), why: `${state.seqlen} / 2 bytes` },
  ];
};
const grouped = (value) => Math.round(value).toLocaleString("en");
const brief = (value) => (Number.isInteger(value) ? String(value) : Numbers.brief(value));

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
    kernelsOf(roof).map(point("ink", diamond)), attemptsOf(roof).map(point("query", star)),
    workloads(state).map(({ name, told: what, intensity, why }) => [
      h("line", { class: "guide", x1: x(intensity), x2: x(intensity), y1: y(most(intensity)), y2: floor }),
      h("circle", { class: "muted ghost", cx: x(intensity), cy: y(most(intensity)), r: 6, "data-why": `${what}: ${why} = ${brief(intensity)} FLOP a byte; at most ${brief(most(intensity))} TFLOP/s` }),
      h("text", { class: "note", x: x(intensity) + 8, y: floor - 8 }, name),
    ]));
};

const legend = (roof) => [
  "Rings: the most that the workloads above can reach.",
  kernelsOf(roof).length ? "Diamonds: our kernels." : "Our kernels were not measured on this GPU.",
  attemptsOf(roof).length ? "Stars: your attempts." : "",
  roof.measured ? "Bandwidth: a copy, measured." : "Both roofs: the data sheet.",
].filter(Boolean).join(" ");

const told = (state) => {
  const roof = roofOf(state), [decode, prefill] = workloads(state), corner = Roofline.ridge(roof), most = ({ intensity }) => Roofline.attainable(roof, intensity);
  const waits = (one) => (one.intensity < corner ? "memory" : "arithmetic"), share = Math.round((100 * most(decode)) / roof.peak_tflops);
  return `${short(roof.device)}: the ridge lies at ${Math.round(corner)} FLOP a byte. Decoding does ${brief(decode.intensity)} and waits for ${waits(decode)}: at most ${brief(most(decode))} TFLOP/s, ${share < 1 ? "less than 1" : share}% of the peak. A prompt of ${state.seqlen} tokens could do ${brief(prefill.intensity)} and waits for ${waits(prefill)}.`;
};

figure = Figure.mount(element, props, {
  rules,
  view: (state, api) => {
    const names = [...props.roofs.map(({ device }) => [device, short(device)]), ...(own() ? [[YOURS, `yours: ${short(own().device)}`]] : [])];
    return [
      api.choice("device", "GPU", names),
      api.slider("group_size", { label: "Heads a KV head", log: true, digits: 0, step: 1, chars: 4 }),
      api.slider("seqlen", { label: "Prompt tokens", log: true, digits: 0, step: 1, chars: 8, least: 64 }),
      api.choice("cache", "Cache in", CACHES),
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
