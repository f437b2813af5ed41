// Query and key as numbers to take hold of, a bar per term, the angle between them, and the row of scores over six keys.
const { h } = Tree;
const { rules } = DotSays;
const fixed = Numbers.fixed;

const bars = (terms, query, key, dot, width) => {
  const height = 168, top = 20, bottom = 28, room = height - top - bottom, slot = width / 5, bar = Math.min(56, slot - 24);
  const high = Math.max(0.5, dot, ...terms), low = Math.min(0, dot, ...terms), unit = room / (high - low), zero = top + high * unit;
  const one = (value, i, role, label, why) => {
    const x = i * slot + (slot - bar) / 2, y = value >= 0 ? zero - value * unit : zero, tall = Math.abs(value) * unit;
    return [
      h("rect", { class: `${role} ${value < 0 ? "negative" : "mark"}`, x, y, width: bar, height: Math.max(tall, 1), rx: 2, "data-why": why }),
      h("text", { x: x + bar / 2, y: value >= 0 ? y - 6 : y + tall + 15, "text-anchor": "middle" }, fixed(value)),
      h("text", { class: "note", x: x + bar / 2, y: height - 2, "text-anchor": "middle" }, label),
    ];
  };
  return h("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Four terms and their sum, ${fixed(dot)}` },
    h("line", { class: "axis", x1: 0, x2: width, y1: zero, y2: zero }),
    terms.map((term, i) => one(term, i, "scores", `term ${i + 1}`, `q${i + 1} × k${i + 1} = ${Numbers.typed(query[i])} × ${Numbers.typed(key[i])} = ${fixed(term, 4)}`)),
    one(dot, 4, "scores", "sum", `${terms.map((t) => fixed(t)).join(" + ")} = ${fixed(dot, 4)}`));
};

const dial = ({ norm_query, norm_key, angle_deg, cosine }, width) => {
  const size = Math.min(width, 220), height = 132, unit = (size / 2 - 24) / Math.max(norm_query, norm_key, 0.1), cx = size / 2, cy = height - 20;
  const angle = Number.isNaN(angle_deg) ? 0 : (angle_deg * Math.PI) / 180;
  const tip = (length, turn) => [cx + length * unit * Math.cos(turn), cy - length * unit * Math.sin(turn)];
  const arrow = (length, turn, role, label) => {
    const [x, y] = tip(length, turn);
    return [h("line", { class: `${role} line`, x1: cx, y1: cy, x2: x, y2: y, "stroke-width": 3, "stroke-linecap": "round" }), h("circle", { class: `${role} mark`, cx: x, cy: y, r: 5 }),
      h("text", { class: `${role} tinted`, x: x + (Math.cos(turn) < -0.3 ? -10 : 8), y: y + (turn ? -6 : -8), "text-anchor": Math.cos(turn) < -0.3 ? "end" : "start" }, label)];
  };
  const [ax, ay] = [cx + 26 * Math.cos(angle), cy - 26 * Math.sin(angle)];
  return h("svg", { viewBox: `0 0 ${size} ${height}`, style: `max-width:${size}px`, role: "img", "aria-label": `The angle between query and key is ${fixed(angle_deg, 0)} degrees` },
    h("line", { class: "axis", x1: 8, x2: size - 8, y1: cy, y2: cy }),
    h("path", { class: "guide", d: `M ${cx + 26} ${cy} A 26 26 0 0 0 ${ax} ${ay}` }),
    arrow(norm_query, 0, "query", "q"), arrow(norm_key, angle, "key", "k"),
    h("text", { class: "note", x: cx, y: height - 2, "text-anchor": "middle" }, Number.isNaN(cosine) ? "a zero vector has no angle" : `${fixed(angle_deg, 1)}°`));
};

const fact = (label, value, role = "") => h("span", { class: `fig-fact ${role}` }, h("span", { class: "fig-label" }, label), h("output", {}, value));

const row = (state, scores, api) => {
  const order = state.ranked ? DotProduct.ranking(scores) : scores.map((_, i) => i);
  const high = Math.max(0.5, ...scores), low = Math.min(0, ...scores), share = (v) => (100 * v) / (high - low);
  return h("div", {}, h("p", { class: "fig-label" }, "Six keys against this query: one row of QKᵀ, [1, 6]. Press a key to hold it."),
    h("svg", { viewBox: `0 0 ${api.width} ${order.length * 32}`, role: "group", "aria-label": "Six scores" },
      order.map((k, at) => {
        const y = at * 32, left = api.width < 420 ? 132 : 208, room = api.width - left - 64, zero = left - (share(low) / 100) * room, size = (Math.abs(share(scores[k])) / 100) * room;
        const choose = () => api.set({ chosen: k });
        return h("g", { class: "fig-key", tabindex: 0, role: "button", "aria-pressed": String(k === state.chosen), "aria-label": `key ${k + 1}, score ${fixed(scores[k])}`, style: "cursor:pointer", onclick: choose,
          onkeydown: (e) => (e.key === "Enter" || e.key === " ") && (e.preventDefault(), choose()), "data-why": `q · k${k + 1}: ${DotProduct.written(state.query, state.keys[k])}` },
          h("rect", { x: 0, y: y + 1, width: api.width, height: 30, fill: k === state.chosen ? "var(--panel)" : "transparent" }),
          h("text", { class: "key tinted", x: 4, y: y + 20, "font-weight": k === state.chosen ? 700 : 400 }, `k${k + 1}`),
          h("text", { class: "note", x: 32, y: y + 20, style: "white-space:pre;font-family:var(--mono);font-size:" + (api.width < 420 ? "11px" : "13px") }, state.keys[k].map((v) => String(Number(v.toPrecision(3)))).join("  ")),
          h("rect", { class: `scores ${scores[k] < 0 ? "negative" : "mark"}`, x: scores[k] < 0 ? zero - size : zero, y: y + 8, width: Math.max(size, 1), height: 16, rx: 2 }),
          h("text", { x: api.width - 4, y: y + 20, "text-anchor": "end" }, fixed(scores[k])));
      })));
};

Figure.mount(element, props, {
  rules,
  view: (state, api) => {
    const key = state.keys[state.chosen], all = DotProduct.agreement(state.query, key);
    const fields = (path, role, letter) => h("div", { class: "fig-row tight" }, [0, 1, 2, 3].map((i) => api.field(`${path}.${i}`, { label: `${letter}${"₁₂₃₄"[i]}`, role, step: 0.1, digits: 2, chars: 5 })));
    return [
      h("div", { class: "fig-row" },
        h("div", {}, h("p", { class: "fig-tint query" }, "Query ", h("span", { class: "fig-label" }, "[4]")), fields("query", "query", "q")),
        h("div", {}, h("p", { class: "fig-tint key" }, `Key ${state.chosen + 1} `, h("span", { class: "fig-label" }, "[4]")), fields(`keys.${state.chosen}`, "key", "k"))),
      bars(all.terms, state.query, key, all.dot, api.width),
      h("p", { class: "fig-readout" }, h("span", { class: "fig-written" }, DotProduct.written(state.query, key))),
      h("div", { class: "fig-row" }, h("div", { style: "flex:0 0 220px" }, dial(all, api.width)),
        h("div", { class: "fig-row", style: "flex:1 1 240px;align-self:center" }, fact("q · k", fixed(all.dot), "scores"), fact("cosine", fixed(all.cosine, 3)),
          fact("length of q", fixed(all.norm_query, 3), "query"), fact("length of k", fixed(all.norm_key, 3), "key"))),
      h("p", { class: "fig-say" }, DotSays.says(state).join(" ")),
      row(state, DotProduct.scores(state.query, state.keys), api),
      api.toggle("ranked", "Rank by score"),
    ];
  },
  twin: (state) => {
    const key = state.keys[state.chosen], scores = DotProduct.scores(state.query, state.keys);
    return { caption: `Query and key ${state.chosen + 1}, term by term; then the scores of all six keys`, head: ["", "query", "key", "product"],
      rows: [...state.query.map((q, i) => [`term ${i + 1}`, q, key[i], fixed(q * key[i], 4)]), ...scores.map((s, k) => [`q · k${k + 1}`, "", state.keys[k].join(" "), fixed(s, 4)])] };
  },
  say: (state) => DotSays.says(state).join(" "),
});
