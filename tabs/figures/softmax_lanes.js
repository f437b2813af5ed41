// The twin of softmax_lanes.py; needs formats.js for fp16.
const SoftmaxLanes = (() => {
  const ROUND = { fp16: (value) => Formats.rounded(value, "fp16"), fp32: Math.fround };
  const changed = (scores, shift = 0, temperature = 1) => scores.map((score) => (score + shift) / temperature);
  const exact = (scores) => {
    const high = Math.max(...scores), exps = scores.map((x) => Math.exp(x - high)), total = exps.reduce((sum, e) => sum + e, 0);
    return { exps, total, probs: exps.map((e) => e / total) };
  };
  const rounded = (scores, precision, stable) => {
    const round = ROUND[precision];
    let x = scores.map(round);
    const high = Math.max(...x);
    if (stable) x = x.map((value) => round(value - high));
    const exps = x.map((value) => round(Math.exp(value))), total = exps.reduce((sum, e) => round(sum + e), 0);
    return { exps, total, probs: exps.map((e) => round(e / total)) };
  };
  const lanes = (scores) => ({
    exact: exact(scores), "naive fp16": rounded(scores, "fp16", false), "naive fp32": rounded(scores, "fp32", false), "stable fp16": rounded(scores, "fp16", true),
  });
  return { changed, exact, rounded, lanes };
})();
