// Bytes stored and bytes moved, naive against flash against the floor, on one logarithmic scale.
const { h } = Tree;
const whole = (min, max) => Numbers.number(min, max, { integer: true });
const rules = {
  seqlen: whole(16, 2 ** 20), head_dim: Numbers.oneOf(64, 128, 256), num_heads: whole(1, 128),
  element_bytes: Numbers.oneOf(1, 2, 4), score_bytes: Numbers.oneOf(2, 4), tile: whole(16, 256),
};
const LOW = 10, HIGH = 46; // the scale runs from 1 KiB to 64 TiB
const TICKS = [[10, "1 KiB"], [20, "1 MiB"], [30, "1 GiB"], [40, "1 TiB"]];

const chart = (groups, width, card) => {
  const left = width < 420 ? 70 : 120, right = 84, room = width - left - right, place = (bytes) => left + (room * Math.min(HIGH, Math.max(LOW, Math.log2(bytes)) - LOW)) / (HIGH - LOW);
  let y = 0;
  const parts = groups.map(([title, bars]) => {
    const head = h("text", { x: 0, y: (y += 18), "font-weight": 600, style: "font-family:var(--sans)" }, title);
    const rows = bars.map(([name, bytes, role, why]) => {
      const top = y + 8;
      y += 26;
      return [h("text", { class: "note", x: 0, y: top + 14 }, name), h("rect", { class: `${role} mark`, x: left, y: top, width: Math.max(1, place(bytes) - left), height: 18, rx: 2, "data-why": why }), h("text", { x: place(bytes) + 6, y: top + 14 }, Numbers.bytes(bytes))];
    });
    y += 14;
    return [head, rows];
  });
  return h("svg", { viewBox: `0 0 ${width} ${y + 40}`, role: "img", "aria-label": groups.map(([title, bars]) => `${title}: ${bars.map(([name, bytes]) => `${name} ${Numbers.bytes(bytes)}`).join(", ")}`).join(". ") },
    TICKS.filter((_, i) => width >= 420 || i % 2 === 0).map(([power, text]) => [h("line", { class: "axis", x1: place(2 ** power), x2: place(2 ** power), y1: 4, y2: y }), h("text", { class: "note", x: place(2 ** power), y: y + 16, "text-anchor": power === 10 ? "start" : "middle", style: "font-size:12px" }, text)]),
    h("line", { class: "guide wrong line", x1: place(card), x2: place(card), y1: 4, y2: y }), h("text", { class: "tinted wrong", x: place(card), y: y + 32, "text-anchor": "middle", style: "font-size:12px;font-family:var(--sans)" }, "80 GB card"),
    parts);
};

const sentence = (state, stored, moved) => {
  const ratio = moved.naive / moved.flash;
  const where = stored > 80e9 ? "The scores alone no longer fit an 80 GB card. " : "";
  if (Math.abs(ratio - 1) < 0.05) return `${where}Without help from a cache, flash moves as much as naive here: it reads all keys and values again for every ${state.tile} queries. Its win at this tile is memory, and what the L2 cache catches.`;
  return `${where}Flash moves ${Numbers.brief(ratio)} times ${ratio > 1 ? "less than" : "as much as"} naive. Memory is linear in the length, traffic still quadratic: larger tiles of queries mean fewer passes over K and V.`;
};

Figure.mount(element, props, {
  rules,
  view: (state, api) => {
    const stored = MemoryTraffic.scoresBytes(state), flash = MemoryTraffic.flashBytes(state), moved = MemoryTraffic.moved(state), passes = Math.ceil(state.seqlen / state.tile);
    return [
      api.slider("seqlen", { label: "Tokens n", log: true, digits: 0, step: 1, chars: 8, least: 128 }),
      api.slider("num_heads", { label: "Heads", log: true, digits: 0, step: 1, chars: 4 }),
      api.slider("tile", { label: "Queries a tile", log: true, digits: 0, step: 1, chars: 4 }),
      h("div", { class: "fig-row" }, api.choice("head_dim", "d", [[64, "64"], [128, "128"], [256, "256"]]), api.choice("element_bytes", "Q, K, V in", [[1, "fp8"], [2, "fp16"], [4, "fp32"]]), api.choice("score_bytes", "scores in", [[2, "fp16"], [4, "fp32"]])),
      chart([
        ["Stored beyond Q, K, V and the output", [["naive", stored, "scores", `heads × n² × ${state.score_bytes} bytes = ${state.num_heads} × ${state.seqlen}² × ${state.score_bytes}`], ["flash", flash, "running-sum", `one float32 lse a row: ${state.num_heads} × ${state.seqlen} × 4`]]],
        ["Moved between memory and chip", [["naive", moved.naive, "scores", "read Q, K, V, write out; write scores, read them, write weights, read them"], ["flash", moved.flash, "running-sum", `read Q, write out; read K and V ${passes} times, once for every tile of ${state.tile} queries`], ["at least", moved.least, "query", "read Q, K and V once, write the output once"]]],
      ], api.width, 80e9),
      h("p", { class: "fig-say" }, sentence(state, stored, moved)),
    ];
  },
  twin: (state) => {
    const moved = MemoryTraffic.moved(state);
    return { caption: `Bytes at n = ${state.seqlen}`, head: ["", "stored", "moved"], rows: [["naive", Numbers.bytes(MemoryTraffic.scoresBytes(state)), Numbers.bytes(moved.naive)], ["flash", Numbers.bytes(MemoryTraffic.flashBytes(state)), Numbers.bytes(moved.flash)], ["at least", "0 B", Numbers.bytes(moved.least)]] };
  },
  say: (state) => sentence(state, MemoryTraffic.scoresBytes(state), MemoryTraffic.moved(state)),
});
