// What the figure of a quantised tensor may hold, and what it says of it; needs numbers.js, formats.js and block_quantisation.js.
const QuantiseSays = (() => {
  const NAMES = Object.keys(BlockQuantisation.BITS), MOST = 2048;
  const LABELS = { e2m1: "E2M1, one scale", mxfp4: "MXFP4", nvfp4: "NVFP4", int4: "INT4, blocks of 16", fp8: "FP8 E4M3" };
  const SOURCES = [["normal", "Gaussian"], ["heavy", "Heavy tail"], ["outlier", "One channel × 30"], ["own", "Your own"]];
  const own = Numbers.list(1, MOST, Numbers.number(-1e30, 1e30));
  const rules = { source: Numbers.oneOf(...SOURCES.map(([name]) => name)), own, format: Numbers.oneOf(...NAMES) };
  const percent = (share) => (Number.isNaN(share) ? "–" : `${(100 * share).toFixed(share < 0.1 ? 1 : 0)}%`);

  // The last answer is kept: a redraw for a new width or another chosen format need not count again.
  let kept = { key: null };
  const results = (state, samples) => {
    const key = state.source === "own" ? JSON.stringify(state.own) : state.source;
    if (kept.key === key) return kept;
    const x = state.source === "own" ? state.own : BlockQuantisation.tensor(state.source, samples.normal);
    const whole = x.length % BlockQuantisation.HEAD_DIM === 0 && x.length >= 2 * BlockQuantisation.HEAD_DIM;
    kept = { key, x, rows: Object.fromEntries(NAMES.map((name) => [name, { ...BlockQuantisation.quality(x, name), after: BlockQuantisation.quantised(BlockQuantisation.padded(x), name), attention: whole ? BlockQuantisation.attentionError(x, samples, name) : NaN }])) };
    return kept;
  };
  const says = (state, samples) => {
    const { x, rows } = results(state, samples), { error, flushed, attention } = rows[state.format], bits = BlockQuantisation.BITS[state.format];
    const size = `${LABELS[state.format]}: ${bits} bits a value, ${(16 / bits).toFixed(2)}× smaller than fp16.`;
    if (x.every((value) => Math.fround(value) === 0)) return [size, "All values are 0, and stay 0."];
    const output = Number.isNaN(attention) ? [] : [`With keys and values so quantised, attention's output is off by ${percent(attention)}.`];
    return [size, `The tensor is off by ${percent(error)}; ${percent(flushed)} of its values that were not 0 became 0.`, ...output];
  };
  return { NAMES, LABELS, SOURCES, MOST, own, rules, percent, results, says };
})();
