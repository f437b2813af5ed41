// What the first picture may hold, and what it says of it; needs numbers.js and online_softmax.js.
const StreamSays = (() => {
  const SIZE = 4, TILES = 5, LOW = -2, HIGH = 4;
  const rules = { scores: Numbers.list(SIZE * TILES, SIZE * TILES, Numbers.number(LOW, HIGH)), tiles: Numbers.number(0, TILES, { integer: true }) };
  const { fixed, brief } = Numbers;
  // The running state after each tile, the empty one first.
  const moments = (state) => [{ m_i: -Infinity, l_i: 0, acc: 0 }, ...OnlineSoftmax.trace(state.scores, SIZE).filter(({ phase }) => phase === "add")];
  const says = (state) => {
    if (!state.tiles) return [`One row of scores, ${SIZE} at a time: that is all that fits on the chip.`];
    const all = moments(state), now = all[state.tiles], before = all[state.tiles - 1];
    const last = state.tiles === TILES ? [`All ${SIZE * TILES} scores were seen, ${SIZE} at a time, and the softmax is exact.`] : [];
    if (state.tiles === 1) return [`Tile 1: the maximum so far is ${fixed(now.m_i)}; the sum of exps, measured from it, is ${fixed(now.l_i)}.`];
    if (now.m_i > before.m_i) return [`Tile ${state.tiles} raises the maximum from ${fixed(before.m_i)} to ${fixed(now.m_i)}: all that was summed before shrinks to ${brief(Math.exp(before.m_i - now.m_i))} of it.`, ...last];
    return [`Tile ${state.tiles} brings no new maximum: ${brief(now.l_i - before.l_i)} is added to the sum, and nothing shrinks.`, ...last];
  };
  return { rules, SIZE, TILES, LOW, HIGH, moments, says };
})();
