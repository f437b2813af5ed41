// What the figure of query and key may hold, and what it says of it; needs numbers.js and dot_product.js.
const DotSays = (() => {
  const entry = Numbers.number(-1000, 1000);
  const rules = { query: Numbers.list(4, 4, entry), keys: Numbers.list(6, 6, Numbers.list(4, 4, entry)), chosen: Numbers.number(0, 5, { integer: true }), ranked: Numbers.flag };
  const RIGHT = 1e-9; // a cosine so small is a rounding error
  const way = (cosine) => (Number.isNaN(cosine) ? "a zero vector has no direction" : Math.abs(cosine) < RIGHT ? "they are perpendicular" : cosine > 0 ? "they lean the same way" : "they lean apart");
  const says = (state) => {
    const all = state.keys.map((key) => DotProduct.agreement(state.query, key)), { dot, cosine, angle_deg } = all[state.chosen];
    const angle = Number.isNaN(angle_deg) ? "" : `, at ${Numbers.fixed(angle_deg, 1)}°`, first = DotProduct.ranking(all.map((one) => one.dot))[0];
    const here = `q · k${state.chosen + 1} = ${Numbers.fixed(dot)}: ${way(cosine)}${angle}.`;
    const known = all.map((one) => (Number.isNaN(one.cosine) ? -2 : one.cosine)), straight = known.indexOf(Math.max(...known));
    if (known[straight] === -2) return [here];
    const aligned = Math.abs(known[first] - known[straight]) < RIGHT;
    return [here, aligned ? `Of the six keys k${first + 1} scores highest, and none has a smaller angle.` : `Of the six keys k${first + 1} scores highest, but k${straight + 1} has the smallest angle.`];
  };
  return { rules, says };
})();
