// The twin of decode_attention.py.
const DecodeAttention = (() => {
  const sum = (list) => list.reduce((total, value) => total + value, 0);
  const mix = (weights, rows) => rows[0].map((_, j) => sum(weights.map((w, i) => w * rows[i][j])));
  const attention = ({ query, keys, values, sharpness = 1, scaled = true }) => {
    const scores = keys.map((key) => sum(key.map((k, i) => k * query[i])));
    const after = scores.map((s) => (s * sharpness) / (scaled ? Math.sqrt(query.length) : 1));
    const high = Math.max(...after), exps = after.map((s) => Math.exp(s - high)), total = sum(exps), weights = exps.map((e) => e / total);
    return { scores, scaled: after, weights, out: mix(weights, values) };
  };
  const inBlocks = (scaled, values, size) => {
    let m_i = -Infinity, l_i = 0, acc = values[0].map(() => 0);
    const blocks = [];
    for (let first = 0; first < scaled.length; first += size) {
      const part = scaled.slice(first, first + size), m_new = Math.max(m_i, ...part), alpha = Math.exp(m_i - m_new), probs = part.map((s) => Math.exp(s - m_new));
      const added = mix(probs, values.slice(first, first + size));
      l_i = l_i * alpha + sum(probs);
      acc = acc.map((a, j) => a * alpha + added[j]);
      m_i = m_new;
      blocks.push({ first, m_i, alpha, l_i, acc });
    }
    return blocks;
  };
  const stepBytes = ({ seqlen_kv, head_dim, value_dim }, element_bytes = 2) => {
    const row = seqlen_kv;
    return [head_dim + seqlen_kv * head_dim + row, 2 * row, 2 * row, row + seqlen_kv * value_dim + value_dim].map((count) => count * element_bytes);
  };
  return { attention, inBlocks, stepBytes };
})();
