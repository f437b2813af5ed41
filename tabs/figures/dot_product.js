// The twin of dot_product.py.
const DotProduct = (() => {
  const sum = (values) => values.reduce((total, value) => total + value, 0);
  const agreement = (query, key) => {
    const terms = query.map((q, i) => q * key[i]), dot = sum(terms);
    const norm_query = Math.hypot(...query), norm_key = Math.hypot(...key), product = norm_query * norm_key;
    const cosine = product > 0 ? Math.min(1, Math.max(-1, dot / product)) : NaN;
    return { terms, dot, norm_query, norm_key, cosine, angle_deg: (Math.acos(cosine) * 180) / Math.PI };
  };
  const scores = (query, keys) => keys.map((key) => agreement(query, key).dot);
  const ranking = (values) => values.map((_, i) => i).sort((a, b) => values[b] - values[a] || a - b);
  const plain = (value) => String(Number((value + 0).toPrecision(6)));
  const written = (query, key) => {
    const dot = agreement(query, key).dot.toFixed(2);
    return `${query.map((q, i) => `(${plain(q)}x${plain(key[i])})`).join(" + ")} = ${dot === "-0.00" ? "0.00" : dot}`;
  };
  return { agreement, scores, ranking, written };
})();
