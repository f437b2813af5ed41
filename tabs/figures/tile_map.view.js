// The score matrix in tiles: full, crossed by the diagonal, skipped, padded; the rows an unguarded kernel loses; shared memory.
const { h } = Tree;
const { rules, count } = TileSays;
const summary = (state) => TileSays.says(state).join(" ");
let walked = 0; // how many tiles the animation has lit; not part of the state

// The part of a tile in which the key does not come after the query.
const allowed = (left, top, right, bottom) => {
  const corners = [[left, top], [right, top], [right, bottom], [left, bottom]], inside = ([x, y]) => x <= y, out = [];
  corners.forEach((a, i) => {
    const b = corners[(i + 1) % 4];
    if (inside(a)) out.push(a);
    if (inside(a) !== inside(b)) {
      const t = (a[1] - a[0]) / (a[1] - a[0] - (b[1] - b[0]));
      out.push([a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1])]);
    }
  });
  return out;
};
const runs = (rows) => rows.reduce((all, row) => {
  const last = all.at(-1);
  if (last && last[1] === row - 1) last[1] = row;
  else all.push([row, row]);
  return all;
}, []);

const map = (state, width) => {
  const { seqlen, block_m, block_n, causal } = state, grid = TileMap.tiles(state), lost = runs(TileMap.nanRows(state));
  const tall = grid.length * block_m, wide = grid[0].length * block_n, left = 44, top = 26, size = Math.min(width - left - 8, 440), unit = size / Math.max(tall, wide);
  const X = (key) => left + key * unit, Y = (query) => top + query * unit;
  let order = 0;
  const tile = (kind, r, c) => {
    const x0 = c * block_n, y0 = r * block_m, x1 = x0 + block_n, y1 = y0 + block_m, at = kind === "skipped" ? -1 : (order += 1), lit = at > 0 && at <= walked;
    const why = `tile (${r}, ${c}): queries ${y0} to ${Math.min(y1, seqlen) - 1}, keys ${x0} to ${Math.min(x1, seqlen) - 1}; ${kind === "skipped" ? "skipped: all keys come later" : kind === "diagonal" ? "crossed by the diagonal: masked cell by cell" : "full"}`;
    const box = (attrs) => h("rect", { x: X(x0) + 0.5, y: Y(y0) + 0.5, width: block_n * unit - 1, height: block_m * unit - 1, "data-why": why, ...attrs });
    if (kind === "skipped") return h("g", {}, box({ fill: "none", stroke: "var(--rule)", "stroke-dasharray": "3 3" }), "");
    if (kind === "full") return h("g", {}, box({ class: `scores ${lit ? "mark" : "soft"}` }), "");
    return h("g", {}, box({ class: "masked", stroke: "var(--rule)" }), h("path", { class: `scores ${lit ? "mark" : "soft"}`, d: "M" + allowed(x0, y0, x1, y1).map(([x, y]) => `${X(x)} ${Y(y)}`).join("L") + "Z", "data-why": why }));
  };
  const edge = X(seqlen), foot = Y(seqlen);
  return h("svg", { viewBox: `0 0 ${width} ${top + tall * unit + 8}`, role: "img", "aria-label": summary(state) },
    h("text", { class: "note", x: left, y: 14, style: "font-size:12px" }, `keys → [${seqlen}], ${block_n} a tile`),
    h("text", { class: "note", x: 14, y: top, transform: `rotate(-90 14 ${top})`, "text-anchor": "end", style: "font-size:12px" }, `← queries [${seqlen}], ${block_m} a tile`),
    h("g", {}, grid.flatMap((row, r) => row.map((kind, c) => tile(kind, r, c)))),
    h("path", { d: `M${edge} ${top}V${foot}H${left}`, fill: "none", stroke: "var(--muted)" }),
    causal ? h("line", { class: "guide", x1: left, y1: top, x2: edge, y2: foot }) : h("line", { class: "guide", x1: left, y1: top, x2: left, y2: top }),
    h("g", {}, lost.map(([first, last]) => [
      h("rect", { class: "wrong soft", style: "fill-opacity:.85;stroke:var(--wrong)", x: left, y: Y(first), width: edge - left, height: Math.max(2, (last - first + 1) * unit), "data-why": `rows ${first} to ${last}: their program walks a tile in which they may see no key` }),
      (last - first + 1) * unit > 15 ? h("text", { class: "tinted wrong", x: (left + edge) / 2, y: Y((first + last + 1) / 2) + 5, "text-anchor": "middle", "font-weight": 700 }, `NaN  rows ${first}–${last}`) : "",
    ])));
};

// What lies in shared memory, each part in the colour of what it holds.
const parts = ({ block_m, block_n, head_dim, stages }) => [["queries", "query", block_m * head_dim * 2], ["keys", "key", stages * block_n * head_dim * 2], ["values", "value", stages * block_n * head_dim * 2]];
const memory = (state, width) => {
  const used = TileMap.sharedBytes(state), limits = Object.entries(props.limits), most = Math.max(used, ...limits.map(([, v]) => v)), left = 120, room = width - left - 76;
  return h("svg", { viewBox: `0 0 ${width} ${limits.length * 24 + 4}`, role: "img", "aria-label": `Shared memory: ${Numbers.bytes(used)}` },
    limits.map(([name, limit], i) => {
      const y = i * 24, over = used > limit;
      let from = left;
      return [h("text", { class: over ? "tinted wrong" : "note", x: 0, y: y + 14, style: "font-size:12px;font-family:var(--sans)" }, `${over ? "✗" : "✓"} ${name}`),
        parts(state).map(([what, role, bytes]) => {
          const x = from, wide = (room * bytes) / most;
          from += wide;
          return h("rect", { class: `${role} mark`, x, y: y + 3, width: Math.max(0, wide - 1), height: 14, "data-why": `${what}: ${Numbers.bytes(bytes)}` });
        }),
        h("rect", { class: `ghost ${over ? "wrong" : "muted"}`, style: "pointer-events:none", x: left, y: y + 3, width: (room * limit) / most, height: 14 }),
        h("text", { class: "note", x: left + (room * (over ? used : limit)) / most + 6, y: y + 14, style: "font-size:12px;font-family:var(--mono)" }, Numbers.bytes(limit))];
    }));
};

Figure.mount(element, props, {
  rules,
  view: (state, api) => {
    const c = count(state), walk = () => {
      walked = walked > c.full + c.diagonal ? 1 : walked + 1;
      if (walked > c.full + c.diagonal) walked = 0;
      return walked > 0;
    };
    if (!api.playing) walked = 0;
    return [
      h("div", { class: "fig-row" }, api.field("seqlen", { label: "Tokens n", step: 1, digits: 0, chars: 4 }), api.field("block_m", { label: "BLOCK_M", log: true, digits: 0, step: 1, chars: 4, role: "query" }), api.field("block_n", { label: "BLOCK_N", log: true, digits: 0, step: 1, chars: 4, role: "key" }),
        api.field("stages", { label: "Stages", step: 1, digits: 0, chars: 2 }), api.choice("head_dim", "d", [[64, "64"], [128, "128"], [256, "256"]])),
      h("div", { class: "fig-row tight" }, Controls.toggle("Causal", state.causal, () => api.set({ causal: !state.causal })), Controls.toggle("Guard on", state.guard, () => api.set({ guard: !state.guard })), Controls.button(api.playing ? "Pause" : "Walk the tiles", () => api.play(walk, 180))),
      map(state, api.width),
      h("p", { class: "fig-say" }, summary(state)),
      h("p", { class: "fig-readout", "data-why": `(${state.block_m} + 2 × ${state.stages} × ${state.block_n}) × ${state.head_dim} × 2 bytes` }, `Shared memory: ${Numbers.bytes(TileMap.sharedBytes(state))} = `,
        parts(state).map(([what, role, bytes], i) => [i ? " + " : "", h("span", { class: `fig-tint ${role}` }, `${what} ${Numbers.bytes(bytes)}`)])),
      memory(state, api.width),
    ];
  },
  twin: (state) => {
    const grid = TileMap.tiles(state);
    return { caption: summary(state), head: ["queries", ...grid[0].map((_, c) => `keys from ${c * state.block_n}`)], rows: grid.map((row, r) => [`from ${r * state.block_m}`, ...row]) };
  },
  say: summary,
});
