// The twin of watch.py: a trace's lanes, the elements that they touch, what has been touched and moved so far.
const Watch = (() => {
  const PAST = 1, BEFORE = 2, GAP = 3;
  const DRAWN = 1 << 20; // elements of a tensor whose touched ones are kept
  const product = (sizes) => sizes.reduce((all, size) => all * size, 1);
  // What is made of a part of a trace is made once.
  const once = (make) => {
    const made = new WeakMap();
    return (part, ...more) => {
      if (!made.has(part)) made.set(part, make(part, ...more));
      return made.get(part);
    };
  };

  const events = once((trace) => trace.runs.flatMap(([launch, program, told]) =>
    Array.from({ length: told.length / 2 }, (_, i) => ({ launch, program, form: trace.forms[told[2 * i]], at: told[2 * i + 1] }))));
  const scattered = (form) => typeof form.steps[0] === "number";
  const digits = (axis) => typeof axis[0] === "number" ? axis : axis.reduce((found, [count, step]) => Array.from({ length: count }, (_, i) => found.map((offset) => i * step + offset)).flat(), [0]);

  // Bytes from the first lane to each, and which lanes are on: the same wherever the block lies.
  const block = once((form) => {
    let offset = [0];
    for (const axis of form.steps) {
      const along = digits(axis), next = new Float64Array(offset.length * along.length);
      for (let i = 0; i < offset.length; i += 1) for (let j = 0; j < along.length; j += 1) next[i * along.length + j] = offset[i] + along[j];
      offset = next;
    }
    const on = new Uint8Array(offset.length);
    if (form.on === null) on.fill(1);
    else if (typeof form.on === "number") on.fill(1, 0, form.on);
    else {
      let at = 0;
      for (const [repeat, runs] of form.on) for (let row = 0; row < repeat; row += 1) runs.forEach((count, i) => on.fill(i % 2 ? 0 : 1, at, (at += count)));
    }
    return { offset, on, width: digits(form.steps.at(-1)).length };
  });
  const sizes = once((form) => {
    const all = scattered(form) ? product(form.steps.slice(0, -1)) : product(form.steps.map((axis) => typeof axis[0] === "number" ? axis.length : product(axis.map(([count]) => count))));
    const on = form.on === null ? all : typeof form.on === "number" ? form.on : form.on.reduce((sum, [rows, runs]) => sum + rows * runs.reduce((lanes, count, i) => lanes + (i % 2 ? 0 : count), 0), 0);
    return { on, all };
  });

  const order = once((tensor) => tensor.shape.map((_, axis) => axis).sort((a, b) => tensor.strides[b] - tensor.strides[a] || a - b).filter((axis) => tensor.strides[axis] && tensor.shape[axis] > 1));
  const extent = once((tensor) => ({ cells: tensor.shape.includes(0) ? 0 : tensor.shape.reduce((sum, size, axis) => sum + (size - 1) * tensor.strides[axis], 1), all: product(tensor.shape) }));
  // Which element stands at a byte of a tensor, counted row by row; −PAST, −BEFORE or −GAP where none does. Without an object for
  // each lane: a trace has a million of them.
  const finder = once((tensor) => {
    const axes = order(tensor), { cells } = extent(tensor), { itemsize, shape, strides } = tensor;
    const steps = shape.map((_, axis) => product(shape.slice(axis + 1)));
    return (offset) => {
      const element = Math.floor(offset / itemsize);
      if (element < 0) return -BEFORE;
      if (element >= cells) return -PAST;
      let left = element, cell = 0;
      for (const axis of axes) {
        const index = Math.floor(left / strides[axis]);
        if (index >= shape[axis]) return -GAP;
        left -= index * strides[axis];
        cell += index * steps[axis];
      }
      return left ? -GAP : cell;
    };
  });
  const place = (tensor, offset) => finder(tensor)(offset);
  // The indices of an element in all axes.
  const index = (tensor, cell) => tensor.shape.map((size, axis) => Math.floor(cell / product(tensor.shape.slice(axis + 1))) % size);

  // One access, lane by lane: which are on, and what `place` says of each. Blocks without a pattern have no lanes.
  const lanes = (event, trace) => {
    if (scattered(event.form)) return null;
    const { offset, on, width } = block(event.form), find = finder(trace.tensors[event.form.tensor]), cell = new Float64Array(offset.length);
    for (let lane = 0; lane < cell.length; lane += 1) cell[lane] = find(offset[lane] + event.at);
    return { on, cell, width };
  };
  const astray = (trace, event) => {
    const each = lanes(event, trace), found = { past: 0, before: 0, gap: 0 };
    if (each) each.cell.forEach((cell, lane) => { if (each.on[lane] && cell < 0) found[["", "past", "before", "gap"][-cell]] += 1; });
    return found;
  };

  const COUNTS = { load: "loaded", store: "stored", atomic: "atomic" };
  // Bytes moved in the first `upto` accesses.
  const sums = once((trace) => {
    const all = [{ loaded: 0, stored: 0, atomic: 0, masked: 0 }];
    events(trace).forEach(({ form }, number) => {
      const next = { ...all.at(-1) }, { on, all: size } = sizes(form);
      if (COUNTS[form.kind] && number !== trace.fault) { // an access that is not allowed moves nothing
        next[COUNTS[form.kind]] += on * form.itemsize;
        next.masked += (size - on) * form.itemsize;
      }
      all.push(next);
    });
    return all;
  });
  const moved = (trace, upto) => sums(trace)[upto];

  // For each tensor and element, the number of the access that read it first, and that wrote it first; 0: none has.
  const firsts = once((trace) => {
    const found = trace.tensors.map((tensor) => extent(tensor).all <= DRAWN ? { read: new Int32Array(extent(tensor).all), written: new Int32Array(extent(tensor).all) } : null);
    events(trace).forEach((event, number) => {
      const { form } = event, tensor = trace.tensors[form.tensor], into = found[form.tensor];
      if (!into || scattered(form) || number === trace.fault) return;
      const { on, offset } = block(form), find = finder(tensor), wide = Math.max(1, Math.floor(form.itemsize / tensor.itemsize));
      const reads = form.kind === "load" || form.kind === "atomic", writes = form.kind !== "load";
      for (let lane = 0; lane < on.length; lane += 1) {
        for (let more = 0; on[lane] && more < wide; more += 1) { // a lane may be wider than an element
          const cell = find(offset[lane] + event.at + more * tensor.itemsize);
          if (cell < 0) continue;
          if (reads && !into.read[cell]) into.read[cell] = number + 1;
          if (writes && !into.written[cell]) into.written[cell] = number + 1;
        }
      }
    });
    return found;
  });
  // How many elements of a tensor the first `upto` accesses have read and written; null where that is not kept.
  const touched = (trace, tensor, upto) => {
    const first = firsts(trace)[tensor];
    const count = (numbers) => numbers.reduce((sum, number) => sum + (number > 0 && number <= upto ? 1 : 0), 0);
    return first && { read: count(first.read), written: count(first.written), all: extent(trace.tensors[tensor]).all };
  };

  const reach = (trace, event) => {
    const { form, at } = event;
    if (scattered(form)) return [at, at + form.steps.at(-1) + form.itemsize];
    const { offset, on } = block(form);
    let low = Infinity, high = -Infinity;
    offset.forEach((bytes, lane) => { if (on[lane]) [low, high] = [Math.min(low, bytes), Math.max(high, bytes)]; });
    return low > high ? [0, 0] : [low + at, high + at + form.itemsize];
  };
  // The access that the race is with.
  const otherOfRace = once((trace) => {
    if (trace.race === null || trace.other === null) return null;
    const all = events(trace), [program, line] = trace.other, one = all[trace.race], [low, high] = reach(trace, one);
    for (let i = trace.race - 1; i >= 0; i -= 1) {
      const { launch, program: its, form } = all[i];
      if (launch !== one.launch || its !== program || form.line !== line || form.tensor !== one.form.tensor) continue;
      const [from, to] = reach(trace, all[i]);
      if (from < high && low < to) return i;
    }
    return null;
  });

  // Lines of atomics that the two programs of a race run between its two accesses, and that order nothing.
  const between = once((trace) => {
    const start = otherOfRace(trace), all = events(trace);
    if (start === null) return [];
    const same = (one, other) => one.launch === other.launch && one.program === other.program;
    const lines = all.slice(start, trace.race).filter((event) => (same(event, all[start]) || same(event, all[trace.race])) && event.form.kind === "atomic" && event.form.line !== null).map(({ form }) => form.line);
    return [...new Set(lines)].sort((a, b) => a - b);
  });

  // The elements of the one tensor that is written that are not right; the first access of a kernel that stored one, or null.
  const wrong = once((trace) => {
    const tensor = trace.tensors.findIndex(({ role }) => role === "out"), cells = new Set();
    for (let i = 0; i < trace.wrong.length; i += 2) for (let more = 0; more < trace.wrong[i + 1]; more += 1) cells.add(trace.wrong[i] + more);
    const first = cells.size ? events(trace).findIndex((event, number) => number !== trace.fault && storesInto(trace, event, tensor, cells) > 0) : -1;
    return { tensor, cells, first: first < 0 ? null : first };
  });
  // How many of some elements of a tensor an access of a kernel stores into.
  const storesInto = (trace, event, tensor, cells) => {
    const each = event.form.tensor === tensor && event.form.kind !== "load" && event.form.kind !== "fill" ? lanes(event, trace) : null, found = new Set();
    if (each) each.cell.forEach((cell, lane) => each.on[lane] && cells.has(cell) && found.add(cell));
    return found.size;
  };
  const wrongOf = (trace, event) => storesInto(trace, event, wrong(trace).tensor, wrong(trace).cells);
  // [tensor, line]: a line that reads a tensor in a program, but not elements of it that this program reads by another line and less often
  // than the others: a second pass over less than the first.
  const passedOver = once((trace) => {
    const programs = new Map(), found = new Map();
    events(trace).forEach((event, number) => {
      const { form, launch, program } = event;
      if (form.kind !== "load" || form.line === null || scattered(form) || number === trace.fault || extent(trace.tensors[form.tensor]).all > DRAWN) return;
      const key = `${launch} ${program} ${form.tensor}`, lines = programs.get(key) || new Map(), each = lanes(event, trace);
      programs.set(key, lines);
      if (!lines.has(form.line)) lines.set(form.line, new Map());
      const counts = lines.get(form.line);
      each.cell.forEach((cell, lane) => each.on[lane] && cell >= 0 && counts.set(cell, (counts.get(cell) || 0) + 1));
    });
    programs.forEach((lines, key) => {
      const every = new Map();
      lines.forEach((counts) => counts.forEach((count, cell) => every.set(cell, (every.get(cell) || 0) + count)));
      const kinds = new Set(every.values()), most = [...kinds].reduce((a, b) => Math.max(a, b), 0);
      if (kinds.size !== 2) return;
      const cells = [...every.keys()], all = [...lines].filter(([, counts]) => cells.every((cell) => every.get(cell) < most || counts.has(cell)));
      if (all.length < 2) return;
      const tensor = Number(key.split(" ")[2]);
      all.filter(([, counts]) => cells.every((cell) => every.get(cell) === most || !counts.has(cell))).forEach(([line]) => found.set(`${tensor} ${line}`, [tensor, line]));
    });
    return [...found.values()].sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  });

  // How one program goes through each input, beside how an ideal kernel's would: { tensor, unit, yours, ideal, differs }, see watch.py.
  const walks = (trace, launch, program) => {
    const own = events(trace).filter((event) => event.launch === launch && event.program === program), outs = trace.tensors.filter(({ role }) => role === "out"), out = outs[0];
    const cellsOf = (event) => {
      const each = lanes(event, trace), cells = [];
      if (!each) return null;
      each.cell.forEach((cell, lane) => each.on[lane] && cell >= 0 && cells.push(cell));
      return cells;
    };
    if (outs.length !== 1 || out.shape.length < 2) return [];
    const stores = own.filter(({ form }) => trace.tensors[form.tensor] === out && form.kind === "store").map(cellsOf);
    if (stores.includes(null) || !stores.some((cells) => cells.length)) return [];
    const [tall, width] = out.shape.slice(-2), rows = new Set(stores.flatMap((cells) => cells.map((cell) => Math.floor(cell / width))));
    const least = [...rows].reduce((a, b) => Math.min(a, b)), most = [...rows].reduce((a, b) => Math.max(a, b));
    if (Math.floor(least / tall) !== Math.floor(most / tall)) return [];
    return trace.tensors.flatMap((tensor, number) => {
      const loads = own.filter(({ form }) => form.tensor === number && form.kind === "load").map(cellsOf), alike = String(tensor.shape) === String(out.shape);
      if (tensor.role !== "input" || tensor.shape.length < 2 || loads.includes(null) || (!alike && (tensor.shape.length < 4 || !product(tensor.shape)))) return [];
      const unit = alike && rows.size === 1 ? "column" : "row", [keys, columns] = tensor.shape.slice(-2);
      const yours = loads.filter((cells) => cells.length).map((cells) => cells.reduce(([low, high], cell) => {
        const at = unit === "column" ? cell % columns : Math.floor(cell / columns) % keys;
        return [Math.min(low, at), Math.max(high, at)];
      }, [Infinity, -Infinity]));
      const [first, last] = trace.sight || [null, keys];
      const [low, high] = unit === "column" ? [0, columns - 1] : alike ? [least % tall, most % tall] : [first === null ? 0 : Math.max(0, (least % tall) + first), Math.min(keys - 1, (most % tall) + last)];
      const tile = yours.length ? yours[0][1] - yours[0][0] + 1 : Math.max(1, high - low + 1), ideal = [];
      for (let at = low; at <= high; at += tile) ideal.push([at, Math.min(at + tile - 1, high)]);
      let differs = 0;
      while (differs < Math.max(yours.length, ideal.length) && String(yours[differs]) === String(ideal[differs])) differs += 1;
      return [{ tensor: number, unit, yours, ideal, differs: differs < Math.max(yours.length, ideal.length) ? differs : null }];
    });
  };

  return { walks, between, wrong, wrongOf, passedOver, PAST, BEFORE, GAP, events, scattered, block, sizes, place, index, lanes, astray, moved, firsts, touched, otherOfRace, extent };
})();
