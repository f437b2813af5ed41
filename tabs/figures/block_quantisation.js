// The twin of block_quantisation.py; needs formats.js. Every step is rounded to float32 where NumPy rounds.
const BlockQuantisation = (() => {
  const { fround, abs, max } = Math;
  const BITS = { e2m1: 4, mxfp4: 4 + 8 / 32, nvfp4: 4 + 8 / 16, int4: 4 + 16 / 16, fp8: 8 };
  const ROWS = 64, HEAD_DIM = 32, OUTLIER_CHANNEL = 7, OUTLIER_FACTOR = 30;
  const largest = (list) => list.reduce((most, value) => max(most, abs(value)), 0);
  const orOne = (scale) => (scale > 0 ? scale : 1);
  const each = (flat, size, turn) => Array.from({ length: flat.length / size }, (_, b) => turn(flat.slice(b * size, (b + 1) * size))).flat();
  const divided = (value, step) => (step > 0 ? fround(value / step) : 0);

  const e2m1 = (flat) => {
    const scale = orOne(fround(largest(flat) / 6));
    return flat.map((value) => Formats.rounded(fround(value / scale), "e2m1") * scale);
  };
  const fp8 = (flat) => {
    const scale = orOne(fround(largest(flat) / 448));
    return flat.map((value) => Formats.rounded(fround(value / scale), "e4m3", true) * scale);
  };
  const nvfp4 = (flat) => {
    const whole = orOne(fround(largest(flat) / (448 * 6)));
    return each(flat, 16, (block) => {
      const scale = Formats.rounded(fround(fround(largest(block) / 6) / whole), "e4m3", true), step = fround(scale * whole);
      return block.map((value) => Formats.rounded(divided(value, step), "e2m1") * scale * whole);
    });
  };
  const mxfp4 = (flat) => each(flat, 32, (block) => {
    const high = largest(block);
    let exponent = 0;
    if (high > 0) {
      exponent = Math.floor(Math.log2(high));
      if (2 ** exponent > high) exponent -= 1;
      if (2 ** (exponent + 1) <= high) exponent += 1;
    } else exponent = -1;
    const scale = 2 ** Math.min(127, max(-127, exponent - 2));
    return block.map((value) => Formats.rounded(fround(value / scale), "e2m1") * scale);
  });
  const int4 = (flat) => each(flat, 16, (block) => {
    const scale = Formats.rounded(fround(largest(block) / 7), "fp16", true);
    return block.map((value) => {
      const quotient = divided(value, scale), code = Math.sign(quotient) * Formats.even(abs(quotient));
      return Math.min(7, max(-7, code)) * scale;
    });
  });
  const WAYS = { e2m1, mxfp4, nvfp4, int4, fp8 };
  const quantised = (x, name) => WAYS[name](x.map(fround));

  const padded = (x) => [...x, ...Array((32 - (x.length % 32)) % 32).fill(0)];
  const quality = (x, name) => {
    const before = x.map(fround), after = quantised(padded(x), name);
    let error = 0, size = 0, nonzero = 0, flushed = 0;
    before.forEach((value, i) => {
      error += (after[i] - value) ** 2;
      size += value ** 2;
      if (value !== 0) {
        nonzero += 1;
        flushed += after[i] === 0 ? 1 : 0;
      }
    });
    return { error: Math.sqrt(error / size), flushed: flushed / nonzero };
  };
  const tensor = (source, normal) => {
    if (source === "heavy") return normal.map((value) => value * abs(value));
    if (source === "outlier") return normal.map((value, i) => (i % HEAD_DIM === OUTLIER_CHANNEL ? value * OUTLIER_FACTOR : value));
    return normal;
  };
  const rows = (flat) => Array.from({ length: flat.length / HEAD_DIM }, (_, r) => flat.slice(r * HEAD_DIM, (r + 1) * HEAD_DIM));
  const attention = (queries, keys, value) => queries.map((query) => {
    const scores = keys.map((key) => key.reduce((dot, k, i) => dot + k * query[i], 0) / Math.sqrt(HEAD_DIM)), high = max(...scores);
    const exps = scores.map((s) => Math.exp(s - high)), total = exps.reduce((a, b) => a + b, 0);
    return query.map((_, j) => exps.reduce((out, e, i) => out + (e / total) * value[i][j], 0));
  });
  // keys: flat, a multiple of HEAD_DIM
  const attentionError = (keys, samples, name) => {
    const before_keys = keys.map(fround), value = samples.normal.slice(0, keys.length).map(fround).reverse(), queries = rows(samples.queries);
    const before = attention(queries, rows(before_keys), rows(value)).flat();
    const after = attention(queries, rows(quantised(before_keys, name)), rows(quantised(value, name))).flat();
    const square = (list) => list.reduce((sum, v) => sum + v * v, 0);
    return Math.sqrt(square(after.map((v, i) => v - before[i])) / square(before));
  };
  return { BITS, quantised, quality, tensor, attentionError, padded, ROWS, HEAD_DIM };
})();
