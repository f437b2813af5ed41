// What the figure of stored and moved bytes may hold, and what it says of it; needs numbers.js and memory_traffic.js.
const TrafficSays = (() => {
  const whole = (min, max) => Numbers.number(min, max, { integer: true });
  const rules = {
    seqlen: whole(16, 2 ** 20), head_dim: Numbers.oneOf(64, 128, 256), num_heads: whole(1, 128),
    element_bytes: Numbers.oneOf(1, 2, 4), score_bytes: Numbers.oneOf(2, 4), tile: whole(16, 256),
  };
  const CARD = 80e9, SAME = 0.05;
  const passes = ({ seqlen, tile }) => Math.ceil(seqlen / tile);
  const says = (state) => {
    const moved = MemoryTraffic.moved(state), ratio = moved.flash / moved.naive, count = passes(state);
    const fits = MemoryTraffic.scoresBytes(state) > CARD ? ["The scores alone no longer fit an 80 GB card."] : [];
    if (count === 1) return [...fits, `One tile holds all ${state.seqlen} queries: flash moves the least that is possible, ${Numbers.brief(1 / ratio)} times less than naive.`];
    const read = `It reads all keys and values ${count} times, once for every ${state.tile} queries.`;
    if (Math.abs(ratio - 1) < SAME) return [...fits, "Flash moves as much as naive here, within 5%, unless a cache catches repeated reads.", read, "What it saves at this tile is memory."];
    if (ratio < 1) return [...fits, `Flash moves ${Numbers.brief(1 / ratio)} times less than naive.`, read, "Its memory grows with n, its traffic with n²."];
    return [...fits, `Flash moves ${Numbers.brief(ratio)} times as much as naive, unless a cache catches repeated reads.`, read, `With twice the queries a tile it would read them ${Math.ceil(count / 2)} times.`];
  };
  return { rules, says, passes, CARD };
})();
