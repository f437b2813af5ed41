// One row of scores in tiles, the chip moving along it, the running maximum as a staircase, and every exp measured from it. It
// moves by itself until a reader takes hold of a score, and not at all for whoever wants no motion.
const { h } = Tree;
const { rules, SIZE, TILES, LOW, HIGH, moments } = StreamSays;
const PAUSE_MS = 1100, HOLD = 2; // how long a tile is looked at; how many such pauses the end is
const COUNT = SIZE * TILES;
const TOP = 22, SCORES = 132, GAP = 40, EXPS = 84;
let figure, held = 0;

const geometry = (width) => ({ slot: (width - 40) / COUNT, X: (i) => 40 + (i * (width - 40)) / COUNT, Y: (score) => TOP + ((HIGH - score) / (HIGH - LOW)) * SCORES });
const tilesOf = (state) => Array.from({ length: TILES }, (_, t) => t);

// A score is pulled up and down by pointer, or by arrow keys.
const grip = (state, i, { slot, X, Y }, api) => {
  const value = state.scores[i], seen = i < SIZE * state.tiles, now = Math.floor(i / SIZE) === state.tiles - 1;
  const give = (next) => {
    api.stop();
    const scores = api.state.scores.slice();
    scores[i] = Math.round(Math.min(HIGH, Math.max(LOW, next)) * 10) / 10;
    api.set({ scores });
  };
  const follow = (event) => {
    const box = event.currentTarget.ownerSVGElement.getBoundingClientRect(), scale = (box.height / (TOP + SCORES + GAP + EXPS + 24));
    give(HIGH - (((event.clientY - box.top) / scale - TOP) / SCORES) * (HIGH - LOW));
  };
  const zero = Y(0), top = Math.min(zero, Y(value)), moves = { ArrowUp: 0.1, ArrowDown: -0.1, PageUp: 1, PageDown: -1 };
  return h("g", { class: "fig-key fig-grip", role: "slider", tabindex: 0, "aria-label": `score ${i + 1}`, "aria-valuemin": LOW, "aria-valuemax": HIGH, "aria-valuenow": value, "aria-orientation": "vertical",
    "data-why": `score ${i + 1} = ${Numbers.fixed(value, 1)}: pull it up or down`,
    onkeydown: (event) => {
      if (!moves[event.key]) return;
      event.preventDefault();
      give(value + moves[event.key]);
    },
    onpointerdown: (event) => {
      event.currentTarget.setPointerCapture(event.pointerId);
      document.documentElement.classList.add("fig-dragging");
      follow(event);
    },
    onpointermove: (event) => event.buttons && event.currentTarget.hasPointerCapture(event.pointerId) && follow(event),
    onpointerup: () => document.documentElement.classList.remove("fig-dragging"),
    onpointercancel: () => document.documentElement.classList.remove("fig-dragging") },
    h("rect", { x: X(i), y: TOP, width: slot, height: SCORES, fill: "transparent" }),
    h("rect", { class: `scores ${now ? "mark" : "soft"}`, style: seen ? null : "opacity:.5", x: X(i) + 2, y: top, width: slot - 4, height: Math.max(2, Math.abs(Y(value) - zero)), rx: 2 }),
    h("circle", { class: "scores mark", cx: X(i) + slot / 2, cy: Y(value), r: Math.min(5, slot / 4) }));
};

const picture = (state, api) => {
  const at = geometry(api.width), { slot, X, Y } = at, all = moments(state), now = all[state.tiles], floor = TOP + SCORES + GAP + EXPS;
  const chip = Math.max(0, state.tiles - 1) * SIZE;
  return h("svg", { viewBox: `0 0 ${api.width} ${floor + 24}`, role: "group", "aria-label": "One row of scores, the running maximum, and the exps measured from it" },
    h("rect", { class: "fig-chip", x: X(chip) - 2, y: 4, width: SIZE * slot + 4, height: floor, rx: 6, fill: "var(--panel)", stroke: "var(--rule)" }),
    h("text", { class: "note", x: X(chip) + (SIZE * slot) / 2, y: 17, "text-anchor": "middle", style: "font-size:12px" }, state.tiles ? "on the chip" : ""),
    h("text", { class: "tinted scores", x: 0, y: TOP + 12, style: "font-size:12px;font-family:var(--sans)" }, "score"),
    h("text", { class: "tinted running-sum", x: 0, y: TOP + SCORES + GAP + 12, style: "font-size:12px;font-family:var(--sans)" }, "exp"),
    h("line", { class: "axis", x1: 40, x2: api.width, y1: Y(0), y2: Y(0) }),
    tilesOf(state).slice(1).map((t) => h("line", { class: "axis", "stroke-dasharray": "2 4", x1: X(t * SIZE), x2: X(t * SIZE), y1: TOP, y2: floor })),
    h("g", {}, state.scores.map((_, i) => grip(state, i, at, api))),
    h("g", {}, tilesOf(state).map((t) => {
      const m = t < state.tiles ? all[t + 1].m_i : null, y = Y(m === null ? HIGH : m);
      return h("line", { class: "running-max line", style: m === null ? "opacity:0" : null, "stroke-width": 3, "stroke-linecap": "round", x1: X(t * SIZE) + 2, x2: X((t + 1) * SIZE) - 2, y1: y, y2: y });
    })),
    h("line", { class: "axis", x1: 40, x2: api.width, y1: floor, y2: floor }),
    h("g", {}, state.scores.map((score, i) => {
      const seen = i < SIZE * state.tiles, exp = seen ? Math.exp(score - now.m_i) : 0;
      return h("rect", { class: "running-sum mark", x: X(i) + 2, width: slot - 4, y: floor - exp * EXPS, height: exp * EXPS, rx: 1, "data-why": seen ? `exp(${Numbers.fixed(score, 1)} − ${Numbers.fixed(now.m_i)}) = ${Numbers.brief(exp)}` : "not seen yet" });
    })),
    h("text", { class: "note", x: api.width, y: floor + 18, "text-anchor": "end", style: "font-size:12px" }, "each exp is measured from the maximum so far"));
};

const fact = (name, value, role) => h("span", { class: `fig-fact ${role}`, style: "min-width:104px" }, h("span", { class: "fig-label" }, name), h("output", {}, value));

const advance = (api) => () => {
  if (!root().offsetParent) return true; // another tab is looked at
  if (root().querySelector(".fig-notice").textContent) return true; // what is said of a broken link stays to be read
  const { tiles } = api.state;
  if (tiles === TILES && (held += 1) < HOLD) return true;
  held = 0;
  api.set({ tiles: tiles === TILES ? 0 : tiles + 1 });
  return true;
};
const root = () => document.getElementById(`figure-${props.id}`);

figure = Figure.mount(element, props, {
  rules,
  view: (state, api) => {
    const { m_i, l_i } = moments(state)[state.tiles], go = (tiles) => { api.stop(); api.set({ tiles }); };
    return [
      picture(state, api),
      h("div", { class: "fig-row" }, fact("maximum m", m_i === -Infinity ? "−inf" : Numbers.fixed(m_i), "running-max"), fact("sum l", Numbers.fixed(l_i), "running-sum"), fact("kept on the chip", "2 numbers", "ink")),
      h("p", { class: "fig-say" }, StreamSays.says(state).join(" ")),
      h("div", { class: "fig-row tight" }, Controls.button(api.playing ? "Pause" : "Play", () => api.play(advance(api), PAUSE_MS)),
        Controls.button("◂", () => go(Math.max(0, state.tiles - 1)), { disabled: state.tiles === 0, "aria-label": "One tile back" }), Controls.button("▸", () => go(Math.min(TILES, state.tiles + 1)), { disabled: state.tiles === TILES, "aria-label": "One tile on" })),
    ];
  },
  twin: (state) => ({ caption: "After each tile", head: ["tile", "scores", "m", "l"], rows: moments(state).slice(1).map(({ m_i, l_i }, t) => [t + 1, state.scores.slice(t * SIZE, (t + 1) * SIZE).join(" "), Numbers.fixed(m_i), Numbers.fixed(l_i, 4)]) }),
  say: (state) => (figure && figure.playing ? "" : StreamSays.says(state).join(" ")),
});
if (!figure.begun && !matchMedia("(prefers-reduced-motion: reduce)").matches) figure.play(advance(figure), PAUSE_MS);
figure.begun = true; // drawn early, it moves to its place and is mounted again
