// What the figure of growing scores may hold, and what it says of it; needs numbers.js. NumPy drew the vectors (scaling.py).
const ScalingSays = (() => {
  const rules = (spreads) => {
    const dims = spreads.map((one) => one.head_dim);
    return { head_dim: Numbers.number(dims[0], dims.at(-1), { integer: true, among: dims }) };
  };
  const percent = (share) => `${(100 * share).toFixed(share < 0.1 ? 1 : 0)}%`;
  const says = (state, { spreads, keys }) => {
    const { std, std_scaled, largest_weight, largest_weight_scaled } = spreads.find((one) => one.head_dim === state.head_dim);
    return [
      `At d = ${state.head_dim} the scores have σ = ${std.toFixed(1)}: nearly all lie within 3σ, ±${(3 * std).toFixed(0)}.`,
      `Softmax gives the best of ${keys} random keys ${percent(largest_weight)} of the weight.`,
      `Divided by √d, σ is ${std_scaled.toFixed(1)} and the best key gets ${percent(largest_weight_scaled)}.`,
    ];
  };
  return { rules, percent, says };
})();
