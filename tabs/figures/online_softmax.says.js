// What the figure of online softmax may hold, and what it says of it; needs numbers.js and online_softmax.js.
const OnlineSays = (() => {
  const MOST = 48, score = Numbers.number(-1000, 1000, { masked: true });
  const rules = {
    scores: Numbers.list(0, MOST, score), size: Numbers.number(1, 8, { integer: true }), step: Numbers.number(0, 4 * MOST, { integer: true }),
    rescale: Numbers.flag, guard: Numbers.flag,
  };
  const { fixed, brief } = Numbers;
  const lastStep = (state) => 4 * Math.ceil(state.scores.length / state.size);
  const check = (state) => (state.step > lastStep(state) ? "step lies past the last block." : null);
  const traceOf = (state) => OnlineSoftmax.trace(state.scores, state.size, state.rescale, state.guard);
  // The running max is written as the chapter does: -inf while nothing was seen.
  const max = (m) => (m === -Infinity ? Numbers.MINUS + "inf" : fixed(m));

  const moment = {
    "block max": (at) => (at.m_block === -Infinity ? [`Block ${at.block + 1} is masked throughout: its maximum is −inf.`] : [`Block ${at.block + 1} has the maximum ${max(at.m_block)}.`]),
    "new max": (at, before, { guard }) => {
      if (at.m_new === -Infinity) return ["Still nothing but masked scores: m stays −inf.", guard ? "Subtracting it from itself would give NaN, so the guard subtracts 0 instead." : "The guard is left out, so −inf is about to be subtracted from itself."];
      if (before.m_i === -Infinity) return [`The first visible score: m becomes ${max(at.m_new)}, from −inf.`];
      return at.m_new > before.m_i ? [`A new maximum: ${max(at.m_new)}.`, `All that was added so far was measured from ${max(before.m_i)}.`] : [`No new maximum: m stays ${max(at.m_new)}.`];
    },
    rescale: (at, before, { rescale }) => {
      if (Number.isNaN(before.l_i)) return ["l and acc are NaN, and no factor mends that."];
      if (!rescale) return [before.m_i === at.m_new || before.l_i === 0 ? "Rescale skipped, and nothing is lost here: there was nothing to rescale." : "Rescale skipped: l and acc keep what they had, as if m had not moved."];
      if (Number.isNaN(at.alpha)) return ["m and m_new are both −inf: exp(−inf − (−inf)) is NaN, and so are l and acc from here on."];
      if (before.m_i === -Infinity) return ["l and acc are 0: there is nothing to rescale."];
      if (at.alpha === 1) return ["exp(m − m_new) = 1: nothing to rescale."];
      return [`l and acc are multiplied by exp(m − m_new) = ${brief(at.alpha)}, so that they too are measured from ${max(at.m_new)}.`];
    },
    // The whole block in one sentence: this is what whoever adds a block sees.
    add: (at, before, { rescale }) => {
      if (Number.isNaN(at.l_i)) return ["l is NaN, and will stay so: −inf was subtracted from −inf."];
      if (at.m_new === -Infinity) return ["The block is masked: nothing is added, l stays 0."];
      const added = at.l_i - before.l_i * (rescale ? at.alpha : 1), gives = `l = ${fixed(at.l_i)}`;
      if (before.m_i === -Infinity) return [`The first visible block: m = ${max(at.m_new)}, and its exps, measured from there, add up to ${gives}.`];
      if (at.m_new === before.m_i) return [`No new maximum: l stayed as it was, then ${brief(added)} was added: ${gives}.`];
      const factor = `exp(${max(before.m_i)} − ${at.m_new < 0 ? `(${max(at.m_new)})` : max(at.m_new)}) = ${brief(Math.exp(before.m_i - at.m_new))}`;
      return rescale ? [`New maximum ${max(at.m_new)}: l was multiplied by ${factor}, then ${brief(added)} added: ${gives}.`] : [`New maximum ${max(at.m_new)}, but l was not multiplied by ${factor}; ${brief(added)} was added: ${gives}.`];
    },
  };
  const says = (state) => {
    if (!state.step) return state.scores.length ? ["Step through the blocks, or press play."] : ["Add a block to begin.", "m starts at −inf and l at 0: nothing has been seen."];
    const trace = traceOf(state), at = trace[state.step - 1], before = trace[4 * at.block];
    return moment[at.phase](at, before, state);
  };

  // After the last block: {right, sentence}, streaming held against two passes; else null.
  const verdict = (state) => {
    if (state.step < lastStep(state) || !state.scores.length) return null;
    const { lse, two_pass_lse, out, two_pass_out, error } = OnlineSoftmax.check(state.scores, state.size, state.rescale, state.guard), { l_i } = traceOf(state).at(-1);
    if (two_pass_lse === -Infinity) return l_i === 0 ? { right: true, sentence: "No score is visible: l = 0, and a kernel must write 0, since acc / l would be 0 / 0." } : { right: false, sentence: "No score is visible, but l is NaN; it should be 0." };
    const right = error < 1e-9 && Math.abs(lse - two_pass_lse) < 1e-9 * Math.max(1, Math.abs(two_pass_lse));
    const by = error < 1e-12 ? "below 10⁻¹²" : error < 1e-3 ? Numbers.power(error, 0) : Number.isNaN(error) ? "NaN" : error.toFixed(error < 0.01 ? 3 : 2);
    return { right, by, sentence: `m + ln l = ${fixed(lse, 3)}, in two passes ${fixed(two_pass_lse, 3)}; output ${fixed(out, 3)}, in two passes ${fixed(two_pass_out, 3)}: error ${by}.` };
  };
  return { rules, check, says, verdict, lastStep, traceOf, max, MOST, score };
})();
