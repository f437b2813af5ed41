// What the player of a trace may hold, and every sentence that it says of a step; needs numbers.js and watch.js.
const WatchSays = (() => {
  const STORES = /^[^#]*(tl\.atomic_\w+|\.store)\(/, LOADS = /^[^#]*\.load\(/, MOST_ZOOM = 6, LEAST_SHOWN = 4;
  const whole = (min, max) => Numbers.number(min, max, { integer: true });
  const many = (count, word) => `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;
  const lineList = (lines) => lines.length === 1 ? `line ${lines[0]}` : `lines ${lines.slice(0, -1).join(", ")} and ${lines.at(-1)}`;
  const list = (numbers) => numbers.length === 1 ? String(numbers[0]) : `(${numbers.join(", ")})`;
  const span = (word, [first, last]) => first === last ? `${word} ${first}` : `${word}s ${first} to ${last}`;

  // The programs of all launches, in the order in which they began; the host is none.
  const made = new WeakMap();
  const programs = (trace) => {
    if (!made.has(trace)) {
      const known = new Map();
      Watch.events(trace).forEach(({ launch, program }) => program < 0 || known.has(`${launch} ${program}`) || known.set(`${launch} ${program}`, { launch, program }));
      made.set(trace, [...known.values()]);
    }
    return made.get(trace);
  };
  // step: how many accesses have run, the last of them is shown; only: one program by its place in `programs`, or -1
  const rules = (trace) => ({ step: whole(0, Watch.events(trace).length), lane: whole(0, (1 << 20) - 1), only: whole(-1, Math.max(0, programs(trace).length - 1)), zoom: whole(0, MOST_ZOOM) });
  // The rows and columns of a tensor that are shown, as [first, how many]: 2 ** zoom times fewer, around an element; all of its rows are
  // counted through.
  const window = (trace, number, zoom, centre) => {
    const tensor = trace.tensors[number], columns = tensor.shape.at(-1) || 1, rows = Math.max(1, Watch.extent(tensor).all / columns);
    const around = (size, at) => {
      const shown = Math.max(Math.min(size, LEAST_SHOWN), Math.ceil(size / 2 ** zoom));
      return [Math.max(0, Math.min(size - shown, at - Math.floor(shown / 2))), shown];
    };
    return { rows: around(rows, Math.floor(centre / columns)), cols: around(columns, centre % columns), all: [rows, columns] };
  };
  const zoomed = ({ rows, cols, all }) => rows[1] === all[0] && cols[1] === all[1] ? "" : `${all[0] > 1 ? `${span("row", [rows[0], rows[0] + rows[1] - 1])}, ` : ""}${span("column", [cols[0], cols[0] + cols[1] - 1])} shown`;

  // A program by its place in the grid, whose last axis is counted first.
  const placeInGrid = ({ launch, program }, trace) => {
    const [, y, z] = trace.launches[launch].grid, all = [Math.floor(program / (y * z)), Math.floor(program / z) % y, program % z];
    return list(all.slice(0, z > 1 ? 3 : y > 1 ? 2 : 1));
  };
  const who = (event, trace) => event.program < 0 ? "the host" : `program ${placeInGrid(event, trace)} of ${trace.launches[event.launch].kernel || "a kernel"}`;
  const atLine = ({ form }) => form.line === null ? "" : `, line ${form.line}`;

  // The smallest box of elements that holds those that are touched: in the last two axes where all others are the same.
  const box = (trace, event) => {
    const each = Watch.lanes(event, trace), tensor = trace.tensors[event.form.tensor], cells = new Set();
    if (!each) return null;
    each.cell.forEach((cell, lane) => each.on[lane] && cell >= 0 && cells.add(cell));
    if (!cells.size) return null;
    const columns = tensor.shape.at(-1) || 1, tall = tensor.shape.at(-2) || 1;
    let rows = [Infinity, -Infinity], cols = [Infinity, -Infinity];
    for (const cell of cells) {
      const row = Math.floor(cell / columns), col = cell % columns;
      rows = [Math.min(rows[0], row), Math.max(rows[1], row)];
      cols = [Math.min(cols[0], col), Math.max(cols[1], col)];
    }
    const full = cells.size === (rows[1] - rows[0] + 1) * (cols[1] - cols[0] + 1), head = Math.floor(rows[0] / tall);
    if (head !== Math.floor(rows[1] / tall)) return { where: tensor.name, rows, cols, full, across: true };
    const lead = Watch.index(tensor, rows[0] * columns).slice(0, -2);
    return { where: lead.length ? `${tensor.name}[${lead.join(", ")}]` : tensor.name, rows: rows.map((row) => row - head * tall), cols, full, flat: tensor.shape.length < 2 };
  };
  const boxed = ({ rows, cols, full, flat, across }) => {
    const kind = across ? "of all rows counted through, " : "";
    if (flat) return full ? span("element", cols) : `elements between ${cols[0]} and ${cols[1]}`;
    return full ? `${kind}${span("row", rows)}, ${span("column", cols)}` : `${kind}some of ${span("row", rows)}, ${span("column", cols)}`;
  };

  const VERBS = { load: ["loads", "load"], store: ["stores into", "store into"], atomic: ["updates", "update"], fill: ["fills", "fill"] };
  const does = (trace, event) => {
    const { form } = event, tensor = trace.tensors[form.tensor], { on, all } = Watch.sizes(form), found = box(trace, event), { past, before, gap } = Watch.astray(trace, event);
    const verb = VERBS[form.kind][on === 1 ? 0 : 1], off = all - on;
    const said = [];
    if (form.kind === "fill") said.push(`It fills ${found ? `${found.where}: ${boxed(found)}` : tensor.name}.`);
    else if (!on) said.push(all === 1 ? `The lane of an access to ${tensor.name} is masked off: no memory is touched.` : `All ${all.toLocaleString("en")} lanes of an access to ${tensor.name} are masked off: no memory is touched.`);
    else if (found) said.push(`${many(on, "lane")} ${verb} ${found.where}: ${boxed(found)}.`);
    else said.push(`${many(on, "lane")} ${verb} ${tensor.name}.`);
    if (Watch.scattered(form)) said.push(`Its addresses have no pattern: they reach over ${Numbers.bytes(form.steps.at(-1) + form.itemsize)}.`);
    if (on && off) said.push(`${off.toLocaleString("en")} of ${many(all, "lane")} ${off === 1 ? "is" : "are"} masked off.`);
    const stray = (count, where) => count && said.push(`${many(count, "lane")} ${count === 1 ? "lies" : "lie"} ${where} ${tensor.name}.`);
    stray(past, "past the end of");
    stray(before, "before the start of");
    stray(gap, "between the elements of");
    return said;
  };
  const marks = (trace, number) => {
    const said = [], all = Watch.events(trace);
    if (trace.race === number && trace.other) {
      const at = Watch.otherOfRace(trace), [program, line] = trace.other, other = { launch: all[number].launch, program };
      said.push(`It races with ${at === null ? "" : `step ${at + 1}, `}${who(other, trace)}${line === null ? "" : `, line ${line}`}: both touch ${trace.tensors[all[number].form.tensor].name}, one of them stores, and nothing orders them.`);
    }
    const atomics = trace.race === number && trace.other ? Watch.between(trace) : [];
    if (atomics.length) said.push(`The atomic${atomics.length === 1 ? "" : "s"} of ${lineList(atomics)} between them order${atomics.length === 1 ? "s" : ""} nothing.`);
    const off = Watch.wrongOf(trace, all[number]);
    if (off) said.push(`${many(off, "element")} that it stores into ${off === 1 ? "is" : "are"} not right in the end.`);
    if (trace.unwritten === number) said.push("It reads what nobody has written.");
    if (trace.fault === number) said.push("The run ends here: this access is not allowed.");
    return said;
  };

  const arithmetic = (tensor, cell) => Watch.index(tensor, cell).map((index, axis) => {
    const left = tensor.shape.length - 1 - axis, name = tensor.shape.length === 1 ? "element" : ["column", "row"][left] || `axis ${axis}:`, stride = tensor.strides[axis];
    return tensor.shape[axis] === 1 ? "" : stride === 1 ? `${name} ${index}` : `${name} ${index} · stride ${stride}`;
  }).filter(Boolean).join(" + ") || "the only element";
  // The address of one lane, as the strides of the tensor make it.
  const lane = (trace, event, number) => {
    const { form, at } = event, each = Watch.lanes(event, trace), tensor = trace.tensors[form.tensor];
    if (!each || number >= each.cell.length) return [];
    const sizes = form.steps.map((axis) => typeof axis[0] === "number" ? axis.length : axis.reduce((all, [count]) => all * count, 1));
    const place = sizes.map((_, axis) => Math.floor(number / sizes.slice(axis + 1).reduce((a, b) => a * b, 1)) % sizes[axis]);
    const element = Math.floor((Watch.block(form).offset[number] + at) / tensor.itemsize), cell = each.cell[number];
    const off = each.on[number] ? "" : " It is masked off.";
    if (cell < 0) {
      const start = Math.floor(at / tensor.itemsize), where = { [-Watch.PAST]: `past the last element, ${Watch.extent(tensor).cells - 1}`, [-Watch.BEFORE]: "before the first element", [-Watch.GAP]: "between two elements" }[cell];
      const sign = element < start ? Numbers.MINUS : "+";
      return [`Lane ${list(place)}: start ${Numbers.fixed(start, 0)} ${sign} ${Math.abs(element - start)} = ${Numbers.fixed(element, 0)}, ${where}.${off}`];
    }
    return [`Lane ${list(place)}: ${arithmetic(tensor, cell)} = ${element}, counted in elements of ${tensor.name}.${off}`];
  };
  // An element that is pointed at: its address, and who touched it first.
  const element = (trace, number, cell) => {
    const tensor = trace.tensors[number], first = Watch.firsts(trace)[number], index = Watch.index(tensor, cell), all = Watch.events(trace);
    const at = tensor.strides.reduce((sum, stride, axis) => sum + stride * index[axis], 0), told = (verb, step) => (step ? `${verb} first in step ${step}, by ${who(all[step - 1], trace)}${atLine(all[step - 1])}` : `never ${verb}`);
    const seen = first ? [tensor.role === "out" ? "" : told("read", first.read[cell]), tensor.role === "input" ? "" : told("written", first.written[cell])].filter(Boolean).join("; ") : "";
    return `${tensor.name}[${index.join(", ")}]: ${arithmetic(tensor, cell)} = ${at}${seen ? `; ${seen}` : ""}`;
  };

  const bytes = (trace, step) => {
    const { loaded, stored, atomic } = Watch.moved(trace, step), total = loaded + stored + atomic;
    return [`${Numbers.bytes(total)} moved so far: ${Numbers.bytes(loaded)} loaded, ${Numbers.bytes(stored)} stored${atomic ? `, ${Numbers.bytes(atomic)} by atomics` : ""}; the ideal kernel moves ${Numbers.bytes(trace.ideal_bytes)} in all.`];
  };
  // Elements of an input that are never read, or of out that are never written; 0 where the run did not come to its end.
  const untouched = (trace, number) => {
    const { role } = trace.tensors[number], found = trace.cut || trace.fault !== null || role === "scratch" ? null : Watch.touched(trace, number, Watch.events(trace).length);
    return found ? found.all - (role === "out" ? found.written : found.read) : 0;
  };
  const launched = (trace) => trace.launches.map(({ kernel, grid, line }) => `${line === null ? "The host" : `Line ${line}`} launches ${kernel || "a kernel"}: ${many(grid[0] * grid[1] * grid[2], "program")}.`);
  // The line from where on what is held is no quantity of the lab; null where something else is wrong that explains it.
  const parts = (trace) => (certain(trace) ? null : trace.parts);
  const parting = (trace) => {
    const line = parts(trace), made = trace.lines.find(([number]) => number === line), from = made ? made[1] : [];
    return line === null ? [] : [`Line ${line}${from.length ? `, which takes from ${lineList(from)},` : ""} is the first that holds none of the quantities that right kernels of this lab are known to hold.`];
  };
  // How a program walks through an input, beside an ideal kernel's.
  const walk = (trace, { tensor, unit, yours, ideal, differs }) => {
    const { name } = trace.tensors[tensor], tiles = ideal.length ? `${span(unit, [ideal[0][0], ideal.at(-1)[1]])} in ${many(ideal.length, "load")}` : "nothing";
    const of = `Of ${name} an ideal kernel's program loads ${tiles}`;
    if (differs === null) return `${of}, and so does this one.`;
    if (!yours[differs]) return `${of}; this one's ${yours.length ? `end after ${many(yours.length, "load")}, without` : "never begin, without"} ${span(unit, ideal[differs])}.`;
    if (!ideal[differs]) return `${of}; this one goes on with ${span(unit, yours[differs])}.`;
    return `${of}; this one's load ${differs + 1} is of ${span(unit, yours[differs])}, where the ideal one's is of ${span(unit, ideal[differs])}.`;
  };
  const CUT = { size: "The run goes on, but the trace has no more room.", time: "The trace ends here, since its time was up." };
  const ending = (trace) => {
    const left = (trace.tensors.map((tensor, number) => [tensor, untouched(trace, number)])).filter(([, count]) => count);
    const { cells, first, tensor } = Watch.wrong(trace), over = trace.cut || trace.fault !== null ? [] : Watch.passedOver(trace).filter(([at]) => trace.tensors[at].role === "input");
    return [trace.cut ? CUT[trace.cut] : "This was the last access.", ...(cells.size && first !== null ? [`${cells.size.toLocaleString("en")} of ${many(Watch.extent(trace.tensors[tensor]).all, "element")} of ${trace.tensors[tensor].name} ${cells.size === 1 ? "is" : "are"} not right; step ${first + 1} stored the first.`] : []), ...parting(trace), ...over.map(([at, line]) => `Line ${line} leaves out elements of ${trace.tensors[at].name} that its program reads by another line.`), ...(left.length ? launched(trace) : []), ...left.map(([tensor, count]) =>
      `${count.toLocaleString("en")} of ${many(Watch.extent(tensor).all, "element")} of ${tensor.name} ${count === 1 ? "is" : "are"} never ${tensor.role === "out" ? "written" : "read"}.`)];
  };

  // One step in sentences: who and where, what, what is wrong with it, one lane's address, the bytes so far.
  const step = (trace, number) => {
    const all = Watch.events(trace), event = all[number];
    return [`Step ${number + 1} of ${all.length}: ${who(event, trace)}${atLine(event)}.`, ...does(trace, event), ...marks(trace, number)];
  };
  const says = (trace, state) => {
    const all = Watch.events(trace);
    if (!state.step) return [`Nothing has run yet: ${many(all.length, "step")} of ${many(programs(trace).length, "program")} will follow.`, ...launched(trace), ...bytes(trace, 0)];
    return [...step(trace, state.step - 1), ...(state.step - 1 === Watch.wrong(trace).first && state.step < all.length ? parting(trace) : []), ...lane(trace, all[state.step - 1], state.lane), ...bytes(trace, state.step), ...(state.step === all.length ? ending(trace) : [])];
  };
  // Whether an access is at fault by itself, or something was never touched.
  const certain = (trace) => Watch.events(trace).some((_, number) => amiss(trace, number)) || trace.tensors.some((_, number) => untouched(trace, number));
  const amiss = (trace, number) => {
    const { past, before, gap } = Watch.astray(trace, Watch.events(trace)[number]);
    return past + before + gap > 0 || [trace.race, trace.unwritten, trace.fault].includes(number);
  };
  const troubled = (trace, number) => number === Watch.wrong(trace).first || amiss(trace, number);
  // Lines that never ran: that store, where part of out was never written; that load, where an input was read by nobody.
  const neverRun = (trace, lines) => {
    const ran = new Set(Watch.events(trace).map(({ form }) => form.line)), lost = (role) => trace.tensors.some((tensor, number) => tensor.role === role && untouched(trace, number) >= (role === "out" ? 1 : Math.max(1, Watch.extent(tensor).all)));
    const kinds = [...(lost("out") ? [STORES] : []), ...(lost("input") ? [LOADS] : [])];
    return lines.map((_, i) => i + 1).filter((line) => !ran.has(line) && kinds.some((kind) => kind.test(lines[line - 1])));
  };
  // A statement from its line to where its brackets are closed: [first, last].
  const statement = (lines, line) => {
    let open = 0, last = line;
    for (; last <= lines.length; last += 1) {
      for (const sign of lines[last - 1].replace(/#.*/, "")) open += "([{".includes(sign) ? 1 : ")]}".includes(sign) ? -1 : 0;
      if (open <= 0) break;
    }
    return [line, Math.min(last, lines.length)];
  };

  return { MOST_ZOOM, window, zoomed, rules, programs, placeInGrid, who, step, says, element, troubled, untouched, parts, neverRun, statement, walk };
})();
