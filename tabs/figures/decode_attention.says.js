// What the figure of attention's steps may hold, and what it says of it; needs numbers.js and decode_attention.js.
const DecodeSays = (() => {
  const entry = Numbers.number(-100, 100);
  const rules = {
    query: Numbers.list(4, 4, entry), keys: Numbers.list(4, 4, Numbers.list(4, 4, entry)), values: Numbers.list(4, 4, Numbers.list(2, 2, entry)),
    sharpness: Numbers.number(0, 100), scaled: Numbers.flag, blocked: Numbers.flag, step: Numbers.number(0, 4, { integer: true }),
  };
  const { fixed } = Numbers, NOISE = 1e-12; // two sums of the same terms differ by so little
  const factorOf = (state) => state.sharpness / (state.scaled ? Math.sqrt(state.query.length) : 1);
  // Which are largest: their numbers, and whether they are all.
  const best = (list) => {
    const most = Math.max(...list), room = NOISE * Math.max(1, Math.abs(most));
    return list.flatMap((value, i) => (most - value <= room ? [i + 1] : []));
  };
  const keys = (which) => (which.length === 1 ? `Key ${which[0]}` : `Keys ${which.slice(0, -1).join(", ")} and ${which.at(-1)}`);
  const scale = (state, a) => {
    const factor = factorOf(state), how = `${state.sharpness === 1 ? "" : `times ${Numbers.typed(state.sharpness)}, `}${state.scaled ? "divided by √4 = 2" : "not divided: the scale is left out"}`;
    const what = best(a.scores).length === 4 ? "All scores were equal and stay so." : factor === 0 ? "Nothing is left of the scores: every key counts the same." : factor === 1 ? "The scores stay as they were." : `The order stays, the differences ${factor < 1 ? "shrink" : "grow"}: ${Numbers.brief(factor)} times what they were.`;
    return [`Scale: ${how}.`, what];
  };
  const says = (state, a = DecodeAttention.attention(state)) => {
    const agree = best(a.scores), heavy = best(a.weights), top = Math.max(...a.weights);
    return [
      () => ["A query meets four cached keys.", "Take the steps one by one."],
      () => ["QKᵀ: the query against each key, four dot products.", agree.length === 4 ? "All four keys agree equally." : `${keys(agree)} ${agree.length > 1 ? "agree" : "agrees"} most.`],
      () => scale(state, a),
      () => ["Softmax: four weights that add up to 1.", heavy.length === 4 ? "All four are equal." : `${keys(heavy)} ${heavy.length > 1 ? "have" : "has"} ${fixed(top, 3)}${heavy.length > 1 ? " each" : ""}${top < 0.5 ? ", and no key dominates" : ""}.`],
      () => [`Weighted sum: each value times its weight, added up: (${a.out.map((o) => fixed(o, 4)).join(", ")}).`],
    ][state.step]();
  };
  return { rules, says, best };
})();
