// The twin of online_softmax.py. A masked score is null in the state and -Infinity here.
const OnlineSoftmax = (() => {
  const PHASES = ["block max", "new max", "rescale", "add"];
  const sum = (list) => list.reduce((total, value) => total + value, 0);
  const values = (count) => Array.from({ length: count }, (_, i) => i / 10);
  const floats = (scores) => scores.map((score) => (score === null ? -Infinity : score));
  const blocks = (scores, size) => Array.from({ length: Math.ceil(scores.length / size) }, (_, b) => scores.slice(b * size, (b + 1) * size));
  const trace = (scores, size, rescale = true, guard = true) => {
    let m_i = -Infinity, l_i = 0, acc = 0;
    const value = values(scores.length), steps = [];
    blocks(floats(scores), size).forEach((part, block) => {
      const m_block = Math.max(...part), m_new = Math.max(m_i, m_block), base = guard && m_new === -Infinity ? 0 : m_new;
      const alpha = rescale ? Math.exp(m_i - base) : 1, probs = part.map((x) => Math.exp(x - base));
      const scaled = [l_i * alpha, acc * alpha];
      const added = [scaled[0] + sum(probs), scaled[1] + sum(probs.map((p, i) => p * value[block * size + i]))];
      const moments = [[m_i, l_i, acc], [m_i, l_i, acc], [m_new, ...scaled], [m_new, ...added]];
      moments.forEach(([m, l, a], i) => steps.push({ block, phase: PHASES[i], m_block, m_new, alpha, m_i: m, l_i: l, acc: a }));
      [m_i, l_i, acc] = [m_new, ...added];
    });
    return steps;
  };
  const check = (scores, size, rescale = true, guard = true) => {
    const x = floats(scores), last = trace(scores, size, rescale, guard).at(-1), m = Math.max(...x);
    const weights = x.map((one) => Math.exp(one - m)), two_pass_out = sum(weights.map((w, i) => w * values(x.length)[i])) / sum(weights);
    const out = last.acc / last.l_i, two_pass_lse = Number.isFinite(m) ? m + Math.log(sum(weights)) : -Infinity;
    return { lse: last.m_i + Math.log(last.l_i), two_pass_lse, out, two_pass_out, error: Math.abs(out - two_pass_out) };
  };
  return { PHASES, values, trace, check, blocks };
})();
