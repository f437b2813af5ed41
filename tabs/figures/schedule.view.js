// Loads, products and exponentials of a few tiles over time, a lane for each unit of a multiprocessor, in four designs.
const { h } = Tree;
const { NAMES, all, percent } = ScheduleSays, rules = ScheduleSays.rules(props.chips);
const ROLES = { memory: "key", matrix: "query", special: "scores" }, LANES = [["memory", "memory"], ["matrix", "products"], ["special", "exps"]];
const chipOf = (state) => props.chips.find(({ device }) => device === state.device);

const lanes = (state, found, longest, width) => {
  const left = 76, high = 34, X = (us) => left + (us / longest) * (width - left - 8), step = 10 ** Math.floor(Math.log10(longest / 2)), every = longest / step > 8 ? 2 * step : step;
  return h("svg", { viewBox: `0 0 ${width} ${LANES.length * (high + 8) + 32}`, role: "img", "aria-label": ScheduleSays.says(state, chipOf(state)).join(" ") },
    LANES.map(([unit, name], row) => [
      h("text", { class: `tinted ${ROLES[unit]}`, x: 0, y: row * (high + 8) + 22, style: "font-size:12px;font-family:var(--sans)" }, name),
      h("rect", { x: left, y: row * (high + 8), width: X(longest) - left, height: high, fill: "var(--panel)" }),
      h("g", {}, found.filter((event) => event.unit === unit).map((event) => {
        const x = X(event.start), wide = Math.max(1, X(event.end) - x - 1);
        return [h("rect", { class: `${ROLES[unit]} ${event.tile % 2 ? "soft" : "mark"}`, x, y: row * (high + 8) + (event.group ? high / 2 : 0), width: wide, height: state.design === "ping-pong" && unit !== "memory" ? high / 2 - 1 : high, rx: 2,
          "data-why": `tile ${event.tile + 1}, ${event.what}: ${Numbers.fixed(event.start)} to ${Numbers.fixed(event.end)} µs${state.design === "ping-pong" && unit !== "memory" ? `, warps ${event.group ? "B" : "A"}` : ""}` }),
          wide > 34 ? h("text", { x: x + wide / 2, y: row * (high + 8) + (state.design === "ping-pong" && unit !== "memory" ? high / 4 + 4 + (event.group ? high / 2 : 0) : high / 2 + 4), "text-anchor": "middle", style: `font-size:11px;pointer-events:none;${event.tile % 2 ? "" : "fill:var(--page)"}` }, event.what) : ""];
      })),
    ]),
    Array.from({ length: Math.floor(longest / every) + 1 }, (_, i) => h("text", { class: "note", x: X(i * every), y: LANES.length * (high + 8) + 14, "text-anchor": i ? "middle" : "start", style: "font-size:12px" }, `${Number((i * every).toPrecision(3))}${i ? "" : " µs"}`)));
};

const compared = (state, every, api) => {
  const longest = Math.max(...Object.values(every).map(Schedule.totalUs)), left = api.width < 420 ? 140 : 150, room = api.width - left - 84;
  return h("svg", { viewBox: `0 0 ${api.width} ${Schedule.DESIGNS.length * 30}`, role: "group", "aria-label": "Four designs compared" }, Schedule.DESIGNS.map((design, i) => {
    const time = Schedule.totalUs(every[design]), on = design === state.design, choose = () => api.set({ design });
    return h("g", { class: "fig-key", role: "button", tabindex: 0, "aria-pressed": String(on), "aria-label": `${NAMES[design]}: ${Numbers.brief(time)} µs`, style: "cursor:pointer", onclick: choose, onkeydown: (e) => (e.key === "Enter" || e.key === " ") && (e.preventDefault(), choose()) },
      h("rect", { x: 0, y: i * 30 + 1, width: api.width, height: 28, fill: on ? "var(--panel)" : "transparent" }),
      h("text", { x: 4, y: i * 30 + 20, style: "font-family:var(--sans);font-size:13px", "font-weight": on ? 700 : 400 }, NAMES[design]),
      h("rect", { class: `muted ${on ? "mark" : "soft"}`, x: left, y: i * 30 + 8, width: (room * time) / longest, height: 14, rx: 2 }),
      h("text", { x: left + (room * time) / longest + 6, y: i * 30 + 20 }, `${Numbers.brief(time)} µs`));
  }));
};

Figure.mount(element, props, {
  rules,
  view: (state, api) => {
    const every = all(state, chipOf(state)), found = every[state.design];
    return [
      api.choice("device", "GPU", props.chips.map(({ device }) => [device, device])),
      h("div", { class: "fig-row" }, api.choice("head_dim", "d", [[64, "64"], [128, "128"], [256, "256"]]), api.field("block_m", { label: "BLOCK_M", log: true, digits: 0, step: 1, chars: 4, role: "query" }), api.field("block_n", { label: "BLOCK_N", log: true, digits: 0, step: 1, chars: 4, role: "key" }),
        api.field("stages", { label: "Stages", step: 1, digits: 0, chars: 2 }), api.field("readers", { label: "Programs that share a load", step: 1, digits: 0, chars: 3 })),
      compared(state, every, api),
      lanes(state, found, Schedule.totalUs(found), api.width),
      h("p", { class: "fig-say" }, ScheduleSays.says(state, chipOf(state)).join(" ")),
    ];
  },
  twin: (state) => {
    const every = all(state, chipOf(state));
    return { caption: `${Schedule.TILES} tiles on one multiprocessor of a ${state.device}`, head: ["design", "µs", "memory busy", "products busy", "exps busy", "TFLOP/s at most"],
      rows: Schedule.DESIGNS.map((design) => [NAMES[design], Numbers.brief(Schedule.totalUs(every[design])), ...LANES.map(([unit]) => percent(Schedule.busy(every[design], unit))), Numbers.brief(Schedule.tflops(every[design], chipOf(state)))]) };
  },
  say: (state) => ScheduleSays.says(state, chipOf(state)).join(" "),
});
