// What the figure of programs and lanes may hold, its ten lines, and what it says of each; needs numbers.js and lanes.js.
const LanesOf = (() => {
  const whole = (min, max) => Numbers.number(min, max, { integer: true });
  const power = (most) => Numbers.number(1, most, { integer: true, among: [1, 2, 4, 8, 16].filter((n) => n <= most) });
  const rules = {
    rows: whole(1, 6), cols: whole(1, 12), stride_row: whole(0, 16), stride_col: whole(0, 16), block_m: power(4), block_n: power(16),
    program: whole(0, 71), lane: whole(0, 63), line: whole(0, 9), masked: Numbers.flag,
  };
  const count = (state) => Lanes.grid(state).reduce((all, n) => all * n, 1);
  const check = (state) => (state.program >= count(state) ? "program lies outside the grid." : state.lane >= state.block_m * state.block_n ? "lane lies outside the tile." : null);
  // A smaller grid or tile keeps the program and the lane inside.
  const inside = (state) => ({ ...state, program: Math.min(state.program, count(state) - 1), lane: Math.min(state.lane, state.block_m * state.block_n - 1) });

  const code = (state) => [
    "@triton.jit",
    "def copy(x_ptr, out_ptr, rows, cols, stride_row, stride_col, BM: tl.constexpr, BN: tl.constexpr):",
    "    offs_m = tl.program_id(0) * BM + tl.arange(0, BM)",
    "    offs_n = tl.program_id(1) * BN + tl.arange(0, BN)",
    "    at = offs_m[:, None] * stride_row + offs_n[None, :] * stride_col",
    "    mask = (offs_m[:, None] < rows) & (offs_n[None, :] < cols)",
    `    x = tl.load(x_ptr + at${state.masked ? ", mask=mask, other=0.0" : ""})`,
    `    tl.store(out_ptr + offs_m[:, None] * cols + offs_n[None, :], x${state.masked ? ", mask=mask" : ""})`,
    "grid = (triton.cdiv(rows, BM), triton.cdiv(cols, BN))",
    `copy[grid](x, out, rows, cols, x.stride(0), x.stride(1), BM=${state.block_m}, BN=${state.block_n})`,
  ];

  const some = (n, what) => `${n} ${what}${n === 1 ? "" : "s"}`;
  const axis = (name, id, block, limit, what) => {
    const offs = Array.from({ length: block }, (_, i) => id * block + i), off = offs.filter((o) => o >= limit);
    return [`${name} = ${id} × ${block} + (0 … ${block - 1}) = ${offs.join(", ")}.`, off.length ? `There are only ${limit} ${what}s: ${off.join(", ")} ${off.length === 1 ? "is" : "are"} off the end.` : `All of them are ${what}s.`];
  };
  const lands = { other: "on another element", gap: "between elements", beyond: "past the last element" };
  const stray = (off) => Object.entries(lands).map(([kind, where]) => [off.filter((l) => l.lands === kind).length, where]).filter(([n]) => n).map(([n, where]) => `${n} ${where}`).join(", ");
  const says = (state) => {
    const [tall, wide] = Lanes.grid(state), [pm, pn] = Lanes.place(state), all = Lanes.lanes(state), on = all.filter((l) => l.mask), off = all.filter((l) => !l.mask), lane = all[state.lane];
    const lines = [
      () => ["The lines below are not Python that runs: Triton compiles them once, and every program runs the same code."],
      () => ["x_ptr is the address of the first element; rows and strides are numbers that may differ from call to call.", "BM and BN are constexpr: the compiler must know them, since they are the shape of the tile."],
      () => axis("offs_m", pm, state.block_m, state.rows, "row"),
      () => axis("offs_n", pn, state.block_n, state.cols, "column"),
      () => [`A column of ${state.block_m} beside a row of ${state.block_n}: ${all.length} lanes, each with an address of its own.`, `Lane (${lane.row - pm * state.block_m}, ${lane.col - pn * state.block_n}): ${lane.row} × ${state.stride_row} + ${lane.col} × ${state.stride_col} = ${lane.address}, counted in elements.`],
      () => [off.length ? `${some(on.length, "lane")} of ${all.length} ${on.length === 1 ? "is an element" : "are elements"}, ${off.length} fall${off.length === 1 ? "s" : ""} off the end.` : `All ${all.length} lanes are elements: the mask is true everywhere.`],
      () => (!off.length ? [`${some(on.length, "number")} ${on.length === 1 ? "is" : "are"} read.`] : state.masked ? [`${some(on.length, "number")} ${on.length === 1 ? "is" : "are"} read.`, `The masked ${off.length === 1 ? "lane touches" : `${off.length} lanes touch`} no memory and hold${off.length === 1 ? "s" : ""} other = 0.`] : [`Without a mask all ${all.length} lanes read.`, `Off the end: ${stray(off)}.`]),
      () => (!off.length || state.masked ? [`${some(on.length, "number")} ${on.length === 1 ? "is" : "are"} written, each to a place of its own in out.`] : [`Without a mask all ${all.length} lanes write.`, `${some(off.length, "lane")} write${off.length === 1 ? "s" : ""} where no element of this program is.`]),
      () => [`${tall} × ${wide} = ${some(tall * wide, "program")}: rows / BM and columns / BN, rounded up.`, tall * state.block_m === state.rows && wide * state.block_n === state.cols ? "The tiles fit exactly." : "The last tiles hang over the edge; that is what the mask is for."],
      () => [`Each program runs the lines above on its own, in no order that one may rely on: this is program (${pm}, ${pn}).`],
    ];
    return lines[state.line]();
  };
  return { rules, check, inside, count, code, says };
})();
