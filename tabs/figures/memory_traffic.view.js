// Bytes stored and bytes moved, naive against flash against the floor, on one logarithmic scale.
const { h } = Tree;
const { rules, passes, CARD } = TrafficSays;
const LOW = 6, HIGH = 52; // the scale runs from 64 B to 4 PiB: no state goes beyond
const TICKS = [[10, "1 KiB"], [20, "1 MiB"], [30, "1 GiB"], [40, "1 TiB"]];

// On a logarithmic scale twice as much looks like nearly the same: the factor stands beside the bar.
const beside = (bytes, naive) => (bytes === naive ? "" : bytes > naive ? ` ×${Numbers.brief(bytes / naive)}` : ` ÷${Numbers.brief(naive / bytes)}`);

const chart = (groups, width, card) => {
  const left = width < 420 ? 70 : 120, right = width < 420 ? 108 : 156, room = width - left - right, place = (bytes) => left + (room * Math.min(HIGH, Math.max(LOW, Math.log2(bytes)) - LOW)) / (HIGH - LOW);
  let y = 0;
  const parts = groups.map(([title, bars]) => {
    const head = h("text", { class: "over", x: 0, y: (y += 18), "font-weight": 600, style: "font-family:var(--sans)" }, title);
    const rows = bars.map(([name, bytes, role, why]) => {
      const top = y + 8;
      y += 26;
      return [h("text", { class: "note", x: 0, y: top + 14 }, name), h("rect", { class: `${role} mark`, x: left, y: top, width: Math.max(1, place(bytes) - left), height: 18, rx: 2, "data-why": why }), h("text", { class: "over", x: place(bytes) + 6, y: top + 14, style: width < 420 ? "font-size:12px" : null }, Numbers.bytes(bytes), h("tspan", { class: "note" }, beside(bytes, bars[0][1])))];
    });
    y += 14;
    return [head, rows];
  });
  return h("svg", { viewBox: `0 0 ${width} ${y + 40}`, role: "img", "aria-label": groups.map(([title, bars]) => `${title}: ${bars.map(([name, bytes]) => `${name} ${Numbers.bytes(bytes)}`).join(", ")}`).join(". ") },
    TICKS.filter((_, i) => width >= 420 || i % 2 === 0).map(([power, text]) => [h("line", { class: "axis", x1: place(2 ** power), x2: place(2 ** power), y1: 4, y2: y }), h("text", { class: "note", x: place(2 ** power), y: y + 16, "text-anchor": "middle", style: "font-size:12px" }, text)]),
    h("line", { class: "guide wrong line", x1: place(card), x2: place(card), y1: 4, y2: y }), h("text", { class: "tinted wrong", x: place(card), y: y + 32, "text-anchor": "middle", style: "font-size:12px;font-family:var(--sans)" }, "80 GB card"),
    parts);
};

Figure.mount(element, props, {
  rules,
  view: (state, api) => {
    const stored = MemoryTraffic.scoresBytes(state), flash = MemoryTraffic.flashBytes(state), moved = MemoryTraffic.moved(state);
    return [
      api.slider("seqlen", { label: "Tokens n", log: true, digits: 0, step: 1, chars: 8, least: 128 }),
      api.slider("num_heads", { label: "Heads", log: true, digits: 0, step: 1, chars: 4 }),
      api.slider("tile", { label: "Queries a tile", log: true, digits: 0, step: 1, chars: 4 }),
      h("div", { class: "fig-row" }, api.choice("head_dim", "d", [[64, "64"], [128, "128"], [256, "256"]]), api.choice("element_bytes", "Q, K, V in", [[1, "fp8"], [2, "fp16"], [4, "fp32"]]), api.choice("score_bytes", "scores in", [[2, "fp16"], [4, "fp32"]])),
      chart([
        ["Stored beyond Q, K, V and the output", [["naive", stored, "scores", `heads × n² × ${state.score_bytes} bytes = ${state.num_heads} × ${state.seqlen}² × ${state.score_bytes}`], ["flash", flash, "running-sum", `one float32 lse a row: ${state.num_heads} × ${state.seqlen} × 4`]]],
        ["Moved between memory and chip", [["naive", moved.naive, "scores", "read Q, K, V, write out; write scores, read them, write weights, read them"], ["flash", moved.flash, "running-sum", `read Q, write out; read K and V ${passes(state)} times, once for every tile of ${state.tile} queries`], ["at least", moved.least, "query", "read Q, K and V once, write the output once"]]],
      ], api.width, CARD),
      h("p", { class: "fig-say" }, TrafficSays.says(state).join(" ")),
    ];
  },
  twin: (state) => {
    const moved = MemoryTraffic.moved(state);
    return { caption: `Bytes at n = ${state.seqlen}`, head: ["", "stored", "moved"], rows: [["naive", Numbers.bytes(MemoryTraffic.scoresBytes(state)), Numbers.bytes(moved.naive)], ["flash", Numbers.bytes(MemoryTraffic.flashBytes(state)), Numbers.bytes(moved.flash)], ["at least", "0 B", Numbers.bytes(moved.least)]] };
  },
  say: (state) => TrafficSays.says(state).join(" "),
});
