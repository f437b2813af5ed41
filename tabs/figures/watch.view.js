// The player of a trace: the submission's line that runs, what each step touches of each tensor, the bytes so far. Mounted where a
// report brings one; the address arithmetic of a lane is pointed at or stepped to.
const WatchView = (() => {
  const { h } = Tree;
  const MOST_CHIPS = 24, MOST_ROWS = 200, MOST_RECTS = 3000, SLOW_ms = 450, FAST_ms = 120, MANY_STEPS = 60, SIDE = 14, HEAD = 20, TALLEST = 150, WALK = 72;
  const once = (make) => {
    const made = new Map();
    return (key) => made.get(key) || made.set(key, make(key)).get(key);
  };
  const ROLES = [[/^query/, "query"], [/^key/, "key"], [/^value/, "value"], [/^(x|scores)$/, "scores"]];
  const roleOf = (tensor) => (tensor.role === "input" && (ROLES.find(([name]) => name.test(tensor.name)) || [])[1]) || "ink";

  // Elements as few rectangles: runs along the rows, and equal runs of rows that follow one another.
  const rects = (first, last, columns, is) => {
    const found = [];
    let open = new Map();
    for (let row = first; row <= last; row += 1) {
      const next = new Map();
      for (let col = 0; col < columns; col += 1) {
        if (!is(row * columns + col)) continue;
        const from = col;
        while (col + 1 < columns && is(row * columns + col + 1)) col += 1;
        const key = from * columns + col, above = open.get(key) || { row, from, to: col, tall: 0 };
        if (!above.tall) found.push(above);
        above.tall += 1;
        next.set(key, above);
      }
      open = next;
      if (found.length > MOST_RECTS) return [{ row: first, from: 0, to: columns - 1, tall: last - first + 1 }];
    }
    return found;
  };
  const path = (all, wide, tall) => all.map(({ row, from, to, tall: rows }) => `M${(from * wide).toFixed(2)} ${(row * tall).toFixed(2)}h${((to - from + 1) * wide).toFixed(2)}v${(rows * tall).toFixed(2)}h${((from - to - 1) * wide).toFixed(2)}z`).join("");
  // The elements that lanes of an access touch, those on or those off.
  const ofLanes = (trace, event, on, columns) => {
    const each = Watch.lanes(event, trace), cells = new Set();
    if (!each) return [];
    each.cell.forEach((cell, lane) => cell >= 0 && each.on[lane] === on && cells.add(cell));
    let first = Infinity, last = -1;
    cells.forEach((cell) => {
      first = Math.min(first, Math.floor(cell / columns));
      last = Math.max(last, Math.floor(cell / columns));
    });
    return last < 0 ? [] : rects(first, last, columns, (cell) => cells.has(cell));
  };

  const mount = (element, props) => {
    const { trace, source } = props, all = Watch.events(trace), programs = WatchSays.programs(trace), total = all.length;
    const lines = source.split("\n"), idle = WatchSays.neverRun(trace, lines), known = all.map(({ form }) => form.line).concat(trace.launches.map(({ line }) => line), idle, WatchSays.parts(trace)).filter((line) => line !== null && line <= lines.length);
    const from = Math.max(1, Math.min(...known) - 2), to = Math.min(lines.length, Math.max(...known) + 2), used = new Set(all.map(({ form }) => form.line)), held = new Map(trace.lines.map((made) => [made[0], made]));
    const troubles = all.map((_, i) => i).filter((i) => WatchSays.troubled(trace, i)), other = Watch.otherOfRace(trace);
    const isOf = ({ launch, program }, only) => only < 0 || (programs[only].launch === launch && programs[only].program === program);
    // A kernel that failed opens where it goes wrong, or at the end where something was never touched.
    const lost = props.failed && trace.tensors.some((_, i) => WatchSays.untouched(trace, i)), opening = troubles.length ? troubles[0] + 1 : lost ? total : Math.min(1, total);

    const next = (state, way) => {
      for (let step = state.step + way; step >= 1 && step <= total; step += way) if (isOf(all[step - 1], state.only)) return step;
      return null;
    };
    const move = (api, way) => {
      const step = next(api.state, way);
      if (step !== null) api.set({ step });
      else if (way < 0) api.set({ step: 0 });
      return step !== null;
    };
    const play = (api) => {
      if (!api.playing && next(api.state, 1) === null) api.set({ step: 0 });
      api.play(() => move(api, 1), total > MANY_STEPS ? FAST_ms : SLOW_ms);
    };
    const keys = (api) => (event) => {
      const ways = { ArrowRight: () => move(api, 1), ArrowLeft: () => move(api, -1), Home: () => api.set({ step: 0 }), End: () => api.set({ step: total }), " ": () => play(api), "+": () => closer(api, 1), "-": () => closer(api, -1), 0: () => closer(api, -api.state.zoom) };
      if (!ways[event.key] || event.target !== event.currentTarget) return;
      event.preventDefault();
      ways[event.key]();
    };

    // What is shown larger lies around the element that was pressed last, else around what the step touches, or touched before.
    const pressed = new Map(), centre = (number, state) => {
      if (pressed.has(number)) return pressed.get(number);
      for (let i = state.step - 1; i >= 0; i -= 1) {
        const each = all[i].form.tensor === number && Watch.lanes(all[i], trace), lane = each ? each.cell.findIndex((cell, at) => each.on[at] && cell >= 0) : -1;
        if (lane >= 0) return each.cell[lane];
      }
      return 0;
    };
    const closer = (api, way) => {
      const zoom = Math.max(0, Math.min(WatchSays.MOST_ZOOM, api.state.zoom + way));
      if (!zoom) pressed.clear();
      api.set({ zoom });
    };

    const panel = (tensor, number, state, api, width) => {
      const role = roleOf(tensor), { all: size } = Watch.extent(tensor), columns = tensor.shape.at(-1) || 1, rows = Math.max(1, size / columns), event = state.step ? all[state.step - 1] : null, here = event && event.form.tensor === number;
      const shown = WatchSays.window(trace, number, state.zoom, state.zoom ? centre(number, state) : 0), [top, deep] = shown.rows, [left, across] = shown.cols, zoomed = WatchSays.zoomed(shown);
      const wide = (width - SIDE) / across, tall = Math.min(TALLEST, Math.max(10, deep * Math.min(wide, 12))) / deep, high = deep * tall, first = Watch.firsts(trace)[number], seen = first && (tensor.role === "out" ? first.written : first.read);
      const before = first ? path(rects(0, rows - 1, columns, (cell) => (first.read[cell] && first.read[cell] <= state.step) || (first.written[cell] && first.written[cell] <= state.step)), wide, tall) : "";
      const lost = state.step === total && seen && WatchSays.untouched(trace, number) ? rects(0, rows - 1, columns, (cell) => !seen[cell]) : [];
      const off = Watch.wrong(trace), bad = tensor.role === "out" && first && off.tensor === number && off.first !== null && state.step > off.first ? rects(0, rows - 1, columns, (cell) => off.cells.has(cell) && first.written[cell] && first.written[cell] <= state.step) : [], badly = bad.reduce((sum, run) => sum + (run.to - run.from + 1) * run.tall, 0);
      const mark = here && [trace.race, trace.fault, trace.unwritten].includes(state.step - 1), stray = here ? Watch.astray(trace, event) : { past: 0, before: 0, gap: 0 };
      const strip = (count, x, y, w, tallness) => count ? h("rect", { class: "wrong mark", x, y, width: w, height: tallness }) : "";
      const heads = tensor.shape.length > 2 ? tensor.shape.at(-2) : 0;
      const each = here && Watch.lanes(event, trace), cell = each && state.lane < each.cell.length ? each.cell[state.lane] : -1;
      const pointed = ({ currentTarget, clientX, clientY }) => {
        const frame = currentTarget.getBoundingClientRect(), scale = width / frame.width, col = left + Math.floor(((clientX - frame.left) * scale) / wide), row = top + Math.floor(((clientY - frame.top) * scale - SIDE / 2) / tall);
        return col >= 0 && col < columns && row >= 0 && row < rows ? row * columns + col : -1;
      };
      const pick = (click) => {
        const at = pointed(click), lane = each && at >= 0 ? each.cell.indexOf(at) : -1;
        if (lane >= 0) api.set({ lane });
      };
      const enlarge = (click) => {
        const at = pointed(click);
        if (at >= 0) pressed.set(number, at), closer(api, 1);
      };
      const explain = (pointer) => {
        const at = pointed(pointer);
        if (at >= 0) element.querySelector(".fig-why").textContent = WatchSays.element(trace, number, at);
      };
      const counts = first && Watch.touched(trace, number, state.step), done = counts && (tensor.role === "out" ? `${counts.written} of ${counts.all} written` : tensor.role === "scratch" ? `${counts.written} of ${counts.all} written, ${counts.read} read` : `${counts.read} of ${counts.all} read`);
      const wrong = [stray.past && `✗ ${stray.past} past the end`, stray.before && `✗ ${stray.before} before the start`, stray.gap && `✗ ${stray.gap} between elements`, lost.length && tensor.role === "out" ? `✗ ${WatchSays.untouched(trace, number)} never written` : 0, badly ? `✗ ${badly} not right` : 0, here && trace.race === state.step - 1 ? "✗ race" : 0, here && trace.unwritten === state.step - 1 ? "✗ nobody wrote it" : 0].filter(Boolean);
      return h("div", { class: `watch-tensor ${role}` },
        h("p", { class: "watch-name" }, h("span", { class: `fig-tint ${role}` }, `${here ? "▸ " : ""}${tensor.name}`), h("span", { class: "fig-label" }, ` [${tensor.shape.join(", ")}] · ${done || Numbers.bytes(size * tensor.itemsize)}${zoomed ? ` · ${zoomed}` : ""}`), wrong.length ? h("span", { class: "fig-tint wrong" }, ` ${wrong.join(" · ")}`) : ""),
        h("svg", { viewBox: `0 ${-SIDE / 2} ${width} ${high + HEAD}`, role: "img", "aria-label": `${tensor.name}: ${done || ""}${wrong.length ? `; ${wrong.join("; ")}` : ""}${zoomed ? `; ${zoomed}` : ""}`, onclick: pick, ondblclick: enlarge, onpointermove: explain },
          h("rect", { fill: "var(--panel)", stroke: "var(--rule)", x: 0, y: 0, width: across * wide, height: high }),
          h("svg", { class: "watch-part", x: 0, y: 0, width: across * wide, height: high, viewBox: `${left * wide} ${top * tall} ${across * wide} ${high}` },
          h("path", { class: `${role} soft still`, d: before }),
          h("path", { class: `still ${tensor.role === "out" ? "watch-missing" : "masked"}`, d: path(lost, wide, tall) }),
          h("path", { class: "masked still", stroke: "var(--muted)", "stroke-width": 0.5, d: here ? path(ofLanes(trace, event, 0, columns), wide, tall) : "" }),
          h("path", { class: `${mark ? "wrong" : role} mark still`, d: here ? path(ofLanes(trace, event, 1, columns), wide, tall) : "" }),
          h("path", { class: "wrong ghost still", "stroke-dasharray": "4 2", d: here && state.step - 1 === trace.race && other !== null ? path(ofLanes(trace, all[other], 1, columns), wide, tall) : "" }),
          h("path", { class: "watch-off still", d: path(bad, wide, tall) }),
          heads && rows / heads <= 64 ? Array.from({ length: Math.max(0, rows / heads - 1) }, (_, i) => h("line", { class: "guide", x1: 0, x2: columns * wide, y1: (i + 1) * heads * tall, y2: (i + 1) * heads * tall })) : "",
          cell >= 0 ? h("rect", { class: "still", fill: "none", stroke: "var(--page)", "stroke-width": 4, x: (cell % columns) * wide - 1, y: Math.floor(cell / columns) * tall - 1, width: Math.max(4, wide) + 2, height: Math.max(4, tall) + 2 }) : "",
          cell >= 0 ? h("rect", { class: "still", fill: "none", stroke: "var(--ink)", "stroke-width": 2, x: (cell % columns) * wide - 1, y: Math.floor(cell / columns) * tall - 1, width: Math.max(4, wide) + 2, height: Math.max(4, tall) + 2 }) : ""),
          strip(stray.before, 0, -5, across * wide, 4), strip(stray.past, 0, high + 1, across * wide, 5), strip(stray.gap, across * wide + 1, 0, 6, high)));
    };

    const counter = (state, width) => {
      const { loaded, stored, atomic } = Watch.moved(trace, state.step), end = Watch.moved(trace, total), now = loaded + stored + atomic, most = Math.max(trace.ideal_bytes, end.loaded + end.stored + end.atomic, 1), left = 64, room = width - left - 110;
      const bar = (name, bytes, y, role) => [h("text", { class: "note", x: 0, y: y + 12, style: "font-size:13px" }, name), h("rect", { class: role, x: left, y, width: Math.max(1, (room * bytes) / most), height: 16 }), h("text", { x: left + (room * bytes) / most + 8, y: y + 12 }, Numbers.bytes(bytes))];
      return h("svg", { viewBox: `0 0 ${width} 44`, role: "img", "aria-label": `${Numbers.bytes(now)} moved so far, ${Numbers.bytes(trace.ideal_bytes)} by the ideal kernel in all` }, bar("yours", now, 0, "query mark"), bar("ideal", trace.ideal_bytes, 22, "masked"));
    };

    // The loads of a program in their order, from left to right: what of an input they take, from top to bottom.
    const walked = once((key) => Watch.walks(trace, ...key.split(" ").map(Number)));
    const walk = (one, width) => {
      const tensor = trace.tensors[one.tensor], role = roleOf(tensor), long = tensor.shape.at(one.unit === "column" ? -1 : -2), most = Math.max(one.yours.length, one.ideal.length, 1), half = (width - 24) / 2, wide = half / most;
      const side = (name, tiles, x, mark) => h("g", { transform: `translate(${x} 0)` }, h("text", { class: "note", x: 0, y: 12 }, name), h("rect", { fill: "var(--panel)", stroke: "var(--rule)", x: 0, y: 20, width: half, height: WALK }),
        tiles.map(([first, last], i) => h("rect", { class: `still ${mark}`, x: i * wide, y: 20 + (first * WALK) / long, width: Math.max(1, wide - (wide > 4 ? 1 : 0)), height: Math.max(1.5, ((last - first + 1) * WALK) / long) })),
        one.differs === null ? "" : h("rect", { class: "watch-edge still", x: Math.min(one.differs, most - 1) * wide, y: 20, width: wide, height: WALK }));
      return h("div", { class: "watch-walk" }, h("p", { class: "watch-name" }, h("span", { class: `fig-tint ${role}` }, tensor.name), one.differs === null ? "" : h("span", { class: "fig-tint wrong" }, " ✗ differs")),
        h("svg", { viewBox: `0 0 ${width} ${WALK + 24}`, role: "img", "aria-label": WatchSays.walk(trace, one) }, side("this program", one.yours, 0, `${role} mark`), side("ideal", one.ideal, half + 24, "masked")),
        h("p", { class: "fig-label" }, WatchSays.walk(trace, one)));
    };
    const walks = (state, width) => {
      const event = state.step ? all[state.step - 1] : null, one = state.only >= 0 ? programs[state.only] : event && event.program >= 0 ? event : programs[0], found = one ? walked(`${one.launch} ${one.program}`) : [];
      return !found.length ? null : h("details", { class: "watch-walks", open: found.some(({ differs }) => differs !== null) && props.failed },
        h("summary", {}, `How ${WatchSays.who(one, trace)} walks, beside an ideal kernel`), found.map((each) => walk(each, width)),
        h("p", { class: "fig-label" }, "Each box is one load: from left to right in order, from top to bottom the rows or columns that it takes. Outlined red: the first that differs."));
    };

    // The lit line is kept in sight of its own box; the page itself never scrolls.
    let lit = null;
    const follow = (line) => {
      if (line === lit) return;
      lit = line;
      requestAnimationFrame(() => {
        const box = element.querySelector(".watch-code"), row = box && box.querySelector(".lit");
        if (row && (row.offsetTop < box.scrollTop || row.offsetTop + row.offsetHeight > box.scrollTop + box.clientHeight)) box.scrollTop = row.offsetTop - box.clientHeight / 2;
      });
    };
    const code = (state, api) => {
      const event = state.step ? all[state.step - 1] : null, line = event ? event.form.line : trace.launches.length ? trace.launches[0].line : null, races = event && trace.race === state.step - 1 && trace.other ? trace.other[1] : null, bad = event && WatchSays.troubled(trace, state.step - 1);
      const go = (number) => {
        const order = [...all.keys()].map((i) => (i + state.step) % total), found = order.find((i) => all[i].form.line === number && isOf(all[i], state.only));
        if (found !== undefined) api.set({ step: found + 1 });
      };
      follow(line);
      const parts = WatchSays.parts(trace), within = (number, one) => one !== null && WatchSays.statement(lines, one)[0] <= number && number <= WatchSays.statement(lines, one)[1];
      const taken = (held.get(line) || [0, []])[1];
      return h("div", { class: "fig-code watch-code", tabindex: 0, role: "group", "aria-label": "The lines that run" }, lines.slice(from - 1, to).map((text, i) => {
        const number = from + i, on = within(number, line) || within(number, races), press = () => go(number);
        const part = within(number, parts) || idle.includes(number) || (races !== null && Watch.between(trace).includes(number)), holds = number === parts ? "✗ no quantity of the lab" : idle.includes(number) ? "✗ never runs" : (held.get(number) || [])[2] || "", sign = part || (on && bad) ? "✗" : number === line ? "▸" : taken.includes(number) ? "·" : " ";
        const attrs = used.has(number) ? { role: "button", tabindex: 0, "aria-label": `line ${number}${number === line ? ", runs now" : ""}: ${text.trim()}`, "aria-pressed": String(on), onclick: press, onkeydown: (key) => (key.key === "Enter" || key.key === " ") && (key.preventDefault(), press()) } : {};
        return h("div", { class: `${on || part ? "lit" : ""} ${part || (on && bad) ? "wrong" : "query"}`, ...attrs }, `${String(number).padStart(4)} ${sign} ${text}`, holds ? h("span", { class: "watch-holds" }, holds) : "");
      }));
    };
    const choose = (state, api) => programs.length < 2 ? null : h("div", { class: "fig-row tight" }, Controls.toggle("All programs", state.only < 0, () => api.set({ only: -1 })),
      programs.length <= MOST_CHIPS ? programs.map((one, i) => [i && programs[i - 1].launch !== one.launch ? h("span", { class: "fig-label" }, "then") : "", Controls.toggle(WatchSays.placeInGrid(one, trace), i === state.only, () => api.set({ only: i, step: all.findIndex((event) => isOf(event, i)) + 1 }), { "aria-label": WatchSays.who(one, trace) })])
        : api.field("only", { label: "Program, by its turn (−1: all)", step: 1, digits: 0, chars: 5 }));

    return Figure.mount(element, { id: "watch", tab: "labs", cards: [], ids: ["watch"], unlinked: true, defaults: { step: 0, lane: 0, only: -1, zoom: 0 }, opening: { step: opening }, ...props }, {
      rules: WatchSays.rules(trace),
      view: (state, api) => {
        const two = api.width >= 520, half = (api.width - 24) / 2, long = (tensor) => (tensor.shape.at(-1) || 1) > 12 * Math.max(1, Watch.extent(tensor).all / (tensor.shape.at(-1) || 1));
        const touchedAtAll = trace.tensors.map((_, i) => i).filter((i) => Watch.extent(trace.tensors[i]).all > 0);
        return [
          h("p", { class: "fig-label" }, `Case ${trace.case}: ${trace.shape}. Programs run in an order drawn for this case.`),
          h("div", { class: "watch-stage", tabindex: 0, role: "group", "aria-label": "Steps: left and right arrow, Home, End; the space bar plays; plus, minus and 0 zoom", onkeydown: keys(api) },
            h("div", { class: "fig-row tight" }, Controls.button("◂ Back", () => move(api, -1), { disabled: state.step === 0 }), Controls.button(api.playing ? "Pause" : "Play", () => play(api)), Controls.button("Step ▸", () => move(api, 1), { disabled: next(state, 1) === null }),
              Controls.button("Zoom +", () => closer(api, 1), { disabled: state.zoom === WatchSays.MOST_ZOOM, "aria-label": "Zoom + (closer)" }), Controls.button("Zoom −", () => closer(api, -1), { disabled: !state.zoom, "aria-label": "Zoom − (farther)" }), state.zoom ? Controls.button("Reset zoom", () => closer(api, -state.zoom)) : null,
              troubles.length ? Controls.button("✗ Where it goes wrong", () => api.set({ step: (troubles.find((i) => i >= state.step) ?? troubles[0]) + 1, only: -1 })) : null)),
          api.slider("step", { label: `Step of ${total}`, step: 1, digits: 0, chars: 4 }),
          choose(state, api),
          code(state, api),
          h("div", { class: "watch-tensors" }, touchedAtAll.map((i) => h("div", { class: two && !long(trace.tensors[i]) ? "" : "watch-long" }, panel(trace.tensors[i], i, state, api, Math.round(two && !long(trace.tensors[i]) ? half : api.width))))),
          h("p", { class: "fig-label" }, "Filled: this step. Tinted: touched before. Hatched: masked lanes, and at the end what was never touched. Red: what must not be, and what is not right in the end. Behind a line stands what it holds; · marks the lines that the lit one takes from. Press an element of this step for its lane."),
          h("p", { class: "fig-say" }, WatchSays.says(trace, state).join(" ")),
          h("div", { class: "fig-row" }, api.field("lane", { label: "Lane", step: 1, digits: 0, chars: 5 })),
          counter(state, api.width),
          walks(state, api.width),
        ];
      },
      twin: (state) => {
        const chosen = [...all.keys()].filter((i) => isOf(all[i], state.only)), at = chosen.findIndex((i) => i + 1 >= state.step), start = Math.max(0, Math.min(at < 0 ? chosen.length : at - 10, chosen.length - MOST_ROWS)), shown = chosen.slice(start, start + MOST_ROWS);
        return { caption: shown.length < chosen.length ? `${shown.length} of ${chosen.length} steps, from where you are` : "Every step in words", head: ["step", "what happens"], rows: shown.map((i) => [i + 1, WatchSays.step(trace, i).join(" ").replace(/^Step \d+ of \d+: /, "")]) };
      },
      say: (state) => WatchSays.says(trace, state).join(" "),
    });
  };
  return { mount };
})();
