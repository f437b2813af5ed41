// Bits as buttons: sign, exponent, mantissa; the value they spell, its neighbours, and where on the line numbers round to it.
const { h } = Tree;
const { NAMES, rules, check, show, full, formula } = BitsSays;
// What is taken apart here is a number of the cache: the mantissa has the key's colour; sign and exponent have no quantity's.
const ROLES = { sign: "muted", exponent: "ink", mantissa: "key" };
const role = (i, form) => (i === 0 ? "sign" : i <= form.exponent_bits ? "exponent" : "mantissa");
const typed = Numbers.number(-1e40, 1e40, { signed: true }); // beyond what BF16 reaches

const layouts = (state, choose, width) => {
  const cell = Math.min(22, (width - 16) / 17), high = 20;
  return h("div", {}, NAMES.map((name) => {
    const form = Formats.FORMATS[name], on = name === state.format;
    const segment = (from, count, part) => [
      h("rect", { class: `${ROLES[part]} ${on ? "mark" : "soft"}`, x: from * cell, y: 0, width: count * cell - 2, height: high, rx: 3 }),
      count * cell > 14 ? h("text", { x: from * cell + (count * cell - 2) / 2, y: 14, "text-anchor": "middle", style: `font-size:11px;${on ? "fill:var(--page)" : ""}` }, `${part[0].toUpperCase()}${count > 1 ? `(${count})` : ""}`) : "",
    ];
    return h("button", { type: "button", class: "fig-layout", "aria-pressed": String(on), onclick: () => choose(name) },
      h("span", { class: "fig-layout-name" }, form.name, h("span", { class: "fig-label" }, ` ±${show(Formats.maximum(name))}`)),
      h("svg", { viewBox: `0 0 ${form.width * cell} ${high}`, style: `width:${form.width * cell}px`, "aria-hidden": "true" }, segment(0, 1, "sign"), segment(1, form.exponent_bits, "exponent"), segment(1 + form.exponent_bits, form.mantissa_bits, "mantissa")));
  }));
};

// The values around this one; between two of them the line is shared at the midpoint, a tie going to the even code.
const line = (state, width) => {
  const name = state.format, form = Formats.FORMATS[name], { value, below, above } = Bits.reading(state.bits, name), small = form.width === 4;
  if (!Number.isFinite(value)) return h("p", { class: "fig-label" }, "Inf and NaN have no place on the line.");
  const top = 2 ** (form.width - 1), code = state.bits & (top - 1), reach = small ? 7 : 4;
  const codes = small ? Array.from({ length: 8 }, (_, c) => c) : Array.from({ length: 2 * reach + 1 }, (_, i) => code - reach + i).filter((c) => c >= 0 && c <= form.largest_code);
  const signed = state.bits & top ? -1 : 1, points = codes.map((c) => [c, Formats.decode(c, name)]);
  const low = points[0][1], high = points.at(-1)[1], pad = 24, place = (v) => pad + ((v - low) / (high - low || 1)) * (width - 2 * pad), y = 46;
  return h("svg", { viewBox: `0 0 ${width} 92`, role: "img", "aria-label": `Neighbours of ${show(value)}: ${show(below)} and ${show(above)}` },
    points.map(([c, v], i) => {
      const left = i ? (place(v) + place(points[i - 1][1])) / 2 : pad - 12, right = i + 1 < points.length ? (place(v) + place(points[i + 1][1])) / 2 : width - pad + 12;
      const even = c % 2 === 0, me = c === code, half = show(signed * v).length * 3.5; // of its width: no label leaves the figure
      return [
        h("rect", { class: me ? "query soft" : "", fill: me ? null : even ? "var(--panel)" : "var(--page)", stroke: "var(--rule)", x: left, y: y - 18, width: right - left, height: 36, "data-why": `everything in here rounds to ${show(signed * v)}; a tie at the edge goes to the even code, ${even ? "this one" : "the neighbour"}` }),
        h("circle", { class: me ? "query mark" : "muted mark", cx: place(v), cy: y, r: me ? 6 : 4 }),
        (width >= 480 ? true : points.length > 8 ? i % 4 === 0 && Math.abs(c - code) > 1 : i % 2 === 0) || me ? h("text", { class: me ? "tinted query" : "note", x: Math.min(width - half, Math.max(half, place(v))), y: i % 2 ? y - 24 : y + 34, "text-anchor": "middle", style: "font-size:11px;font-family:var(--mono)" }, show(signed * v)) : "",
      ];
    }));
};

const codes = (state, api) => {
  const form = Formats.FORMATS[state.format];
  if (form.width > 4) return null;
  const positive = Array.from({ length: 8 }, (_, c) => c);
  return h("div", {}, h("p", { class: "fig-label" }, `All codes with sign 0. Distinct positive values: ${positive.filter((c) => Formats.decode(c, state.format) > 0).length}.`),
    h("div", { class: "fig-row tight fig-codes" }, positive.map((c) => {
      const value = Formats.decode(c, state.format);
      return h("button", { type: "button", class: `fig-code-cell ${value > 0 ? "on" : ""}`, "aria-pressed": String(c === state.bits), onclick: () => api.set({ bits: c }) },
        h("span", { class: "fig-label" }, c.toString(2).padStart(4, "0")), String(value));
    })));
};

Figure.mount(element, props, {
  rules,
  check,
  view: (state, api) => {
    const form = Formats.FORMATS[state.format], { value, kind, below, above } = Bits.reading(state.bits, state.format);
    const choose = (format) => {
      const kept = Number.isNaN(value) ? 0 : Formats.encode(value, format, true);
      api.set({ format, bits: kept });
    };
    const bit = (i) => {
      const place = form.width - 1 - i, on = (state.bits >>> place) & 1, part = role(i, form);
      return h("button", { type: "button", class: `fig-bit ${ROLES[part]} ${on ? "on" : ""}`, "aria-pressed": String(Boolean(on)), "aria-label": `${part} bit ${place}: ${on}`, "data-why": `${part} bit: press to flip`, onclick: () => api.set({ bits: state.bits ^ (2 ** place) }) }, String(on));
    };
    // Arrow keys go from one value of the format to the next.
    const next = (from, steps) => {
      let at = from;
      for (let i = 0; i < Math.abs(steps); i += 1) {
        const read = Bits.reading(Formats.encode(at, state.format), state.format), to = steps > 0 ? read.above : read.below;
        if (Number.isNaN(to)) break;
        at = to;
      }
      return at;
    };
    const step = (to) => () => Number.isNaN(to) || api.set({ bits: Formats.encode(to, state.format) });
    return [
      layouts(state, choose, api.width),
      h("div", { class: "fig-bits" }, Array.from({ length: form.width }, (_, i) => bit(i))),
      h("p", { class: "fig-readout" }, h("b", { class: "fig-big fig-value" }, full(value)), h("span", { class: "fig-label" }, ` ${kind} · 0x${state.bits.toString(16).toUpperCase().padStart(Math.ceil(form.width / 4), "0")}`)),
      h("p", { class: "fig-readout fig-formula" }, formula(state)),
      h("div", { class: "fig-row tight" }, Controls.button(`◂ ${show(below)}`, step(below), { disabled: Number.isNaN(below), "aria-label": "Next value below" }), Controls.button(`${show(above)} ▸`, step(above), { disabled: Number.isNaN(above), "aria-label": "Next value above" }),
        h(Controls.Field, { label: "Nearest to", rule: typed, value: Number.isFinite(value) ? value : 0, text: Number.isFinite(value) ? null : Numbers.fixed(value), step: state.format === "e2m1" ? 0.5 : 0.125, digits: 8, chars: 10, next, onValue: (v) => api.set({ bits: Formats.encode(v, state.format) }) })),
      h("p", { class: "fig-say" }, BitsSays.says(state).join(" ")),
      line(state, api.width),
      codes(state, api),
    ];
  },
  twin: () => ({ caption: "The formats", head: ["", "exponent bits", "mantissa bits", "largest", "smallest normal", "smallest subnormal"],
    rows: NAMES.map((name) => { const form = Formats.FORMATS[name]; return [form.name, form.exponent_bits, form.mantissa_bits, show(Formats.maximum(name)), show(2 ** (1 - form.bias)), show(Formats.decode(1, name))]; }) }),
  say: (state) => BitsSays.says(state).join(" "),
});
