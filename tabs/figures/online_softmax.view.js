// Scores stream by in blocks; m, l and the accumulator after every micro-step, the line of code at work lit, and the result
// held against two passes. Rescale and guard can be left out, to see which data notices.
const { h } = Tree;
const { rules, lastStep, traceOf, max, MOST, score } = OnlineSays;
const typed_list = Numbers.list(1, MOST, score);
const { fixed, brief } = Numbers;
const one_decimal = (x) => Math.round(x * 10) / 10;
const random_block = (count) => Array.from({ length: count }, () => one_decimal(Math.floor((props.least + Math.random() * (props.below - props.least)) * 10) / 10));
const CODE = (state) => [
  ["def update(m, l, acc, scores, value):"],
  ["    m_block = scores.max()", "block max"],
  ["    m_new = max(m, m_block)", "new max"],
  [`    base = ${state.guard ? "0 if m_new == -inf else m_new" : "m_new"}`, "new max", !state.guard],
  [`    alpha = ${state.rescale ? "exp(m - base)" : "1"}`, "rescale", !state.rescale],
  ["    l, acc = l * alpha, acc * alpha", "rescale"],
  ["    p = exp(scores - base)", "add"],
  ["    l, acc = l + p.sum(), acc + p @ value", "add"],
  ["    return m_new, l, acc"],
];

const stream = (state, at, width) => {
  const cell = 44, high = 32, gap = 10, per_row = Math.max(1, Math.floor((width + gap) / (cell * state.size + gap)));
  const blocks = OnlineSoftmax.blocks(state.scores, state.size), rows = Math.max(1, Math.ceil(blocks.length / per_row));
  return h("svg", { viewBox: `0 0 ${width} ${rows * (high + 26)}`, role: "img", "aria-label": `${state.scores.length} scores in ${blocks.length} blocks` },
    blocks.map((block, b) => {
      const left = (b % per_row) * (cell * state.size + gap), top = Math.floor(b / per_row) * (high + 26) + 18;
      const seen = at && b <= at.block, now = at && b === at.block, tallest = Math.max(...block.map((x) => (x === null ? -Infinity : x)));
      return [
        h("text", { class: now ? "tinted scores" : "note", x: left, y: top - 5, style: "font-size:12px" }, now ? `block ${b + 1}: ${at.phase}` : `block ${b + 1}`),
        block.map((x, i) => [
          h("rect", { class: x === null ? "masked" : seen ? "scores soft" : "", fill: seen || x === null ? null : "var(--panel)", x: left + i * cell, y: top, width: cell - 3, height: high, rx: 3,
            stroke: now && x !== null && x === tallest ? "var(--running-max)" : now ? "var(--scores)" : "none", "stroke-width": now && x === tallest ? 3 : 1,
            "data-why": x === null ? "masked: −inf, exp gives 0" : `score ${b * state.size + i} = ${x}; value ${fixed((b * state.size + i) / 10, 1)}${at ? `; exp(${x} − ${max(at.m_new)}) = ${brief(Math.exp(x - at.m_new))}` : ""}` }),
          h("text", { x: left + i * cell + (cell - 3) / 2, y: top + 21, "text-anchor": "middle", class: x === null ? "note" : "" }, x === null ? "−inf" : fixed(x, 1)),
        ]),
      ];
    }),
    blocks.length ? "" : h("text", { class: "note", x: 0, y: 30 }, "No values yet."));
};

const gauges = (state, at, seen) => {
  const { m_i, l_i, acc } = at || { m_i: -Infinity, l_i: 0, acc: 0 };
  const one = (name, text, role, why, id) => h("span", { class: `fig-fact ${Number.isNaN(text) ? "wrong" : role}`, style: "min-width:96px", "data-why": why }, h("span", { class: "fig-label" }, name), h("output", { class: id }, text));
  return h("div", { class: "fig-row" },
    one("Running max m", max(m_i), "running-max", "m: the largest score so far", "m"),
    one("Sum of exp l", fixed(l_i), Number.isNaN(l_i) ? "wrong" : "running-sum", state.rescale ? "l: Σ exp(score − m) over the scores so far" : "l: each exp measured from the m of its own time", "l"),
    one("Accumulator", fixed(acc), Number.isNaN(acc) ? "wrong" : "value", "acc: as l, each exp times the token's value; token i has value i / 10", "acc"),
    one("Output acc / l", l_i === 0 ? "–" : fixed(acc / l_i, 3), "value", "where attention looks, in tenths of a position", "out"),
    one("Values seen", String(seen), "", "how many scores have been added", "seen"));
};

const proof = (state) => {
  const found = OnlineSays.verdict(state);
  if (!found) return null;
  const [said, by] = found.by ? found.sentence.split(/ (?=error [^:]*$)/) : [found.sentence, ""];
  return h("p", { class: `fig-readout fig-proof ${found.right ? "right" : "wrong"}` }, h("b", {}, found.right ? "✓ " : "✗ "), `${said} `, h("b", { class: "error" }, by.replace(/\.$/, "")));
};

Figure.mount(element, props, {
  rules,
  check: OnlineSays.check,
  view: (state, api) => {
    const at = state.step ? traceOf(state)[state.step - 1] : null;
    const added = !at ? 0 : Math.min(state.scores.length, (at.block + (at.phase === "add" ? 1 : 0)) * state.size);
    const move = (by) => {
      const step = Math.min(lastStep(api.state), Math.max(0, api.state.step + by));
      api.set({ step });
      return step < lastStep(api.state);
    };
    // A last block that is not whole is filled up.
    const missing = state.size - (state.scores.length % state.size), full = state.scores.length + missing > MOST;
    const add = () => {
      const scores = [...state.scores, ...random_block(missing)];
      api.set({ scores, step: 4 * Math.ceil(scores.length / state.size) });
    };
    const take = (scores) => api.set({ scores, step: 0 });
    return [
      h("div", { class: "fig-row tight" }, Controls.button("Add random block", add, { disabled: full }),
        Controls.button("◂ Undo", () => move(-1), { disabled: state.step === 0, "aria-label": "Undo one step" }),
        Controls.button("Step ▸", () => move(1), { disabled: state.step === lastStep(state), "aria-label": "One step" }),
        Controls.button(api.playing ? "Pause" : "Play", () => {
          if (!api.playing && state.step === lastStep(state)) api.set({ step: 0 });
          api.play(() => move(1));
        }, { disabled: !state.scores.length }),
        full ? h("span", { class: "fig-label" }, `At most ${MOST} values fit: Reset empties the stream.`) : null),
      h("div", { class: "fig-choice", role: "group", "aria-label": "Presets" }, h("span", { class: "fig-label" }, "Presets"),
        Object.entries(props.presets).map(([name, scores]) => Controls.button(name, () => take(scores)))),
      stream(state, at, api.width),
      gauges(state, at, added),
      h("p", { class: "fig-say fig-insight" }, OnlineSays.says(state).join(" ")),
      h("div", { class: "fig-code", tabindex: 0, role: "group", "aria-label": "The update rule" }, CODE(state).map(([line, phase, struck]) =>
        h("div", { class: `${at && phase === at.phase ? "lit" : ""} ${struck ? "wrong lit" : phase === "rescale" ? "running-sum" : phase === "new max" || phase === "block max" ? "running-max" : "scores"}` }, line))),
      proof(state),
      h("div", { class: "fig-row tight" },
        Controls.toggle("Skip the rescale", !state.rescale, () => api.set({ rescale: !state.rescale })),
        Controls.toggle("Skip the guard", !state.guard, () => api.set({ guard: !state.guard }))),
      h("div", { class: "fig-row" }, h(Controls.Field, { label: "Block size", rule: rules.size, value: state.size, step: 1, digits: 0, chars: 2, onValue: (size) => api.set({ size, step: 0 }) })),
      h(Controls.NumberList, { label: `Your own scores, up to ${MOST}; -inf is a masked one`, rule: typed_list, value: state.scores, onValue: take }),
    ];
  },
  twin: (state) => ({
    caption: "Every micro-step", head: ["block, step", "block max", "m", "alpha", "l", "acc"],
    rows: traceOf(state).slice(0, state.step).map((s) => [`${s.block + 1}, ${s.phase}`, max(s.m_block), max(s.m_i), brief(s.alpha), fixed(s.l_i, 4), fixed(s.acc, 4)]),
  }),
  say: (state) => OnlineSays.says(state).join(" "),
});
