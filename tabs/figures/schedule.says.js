// What the schedule may hold, and what it says of it; needs numbers.js and schedule.js.
const ScheduleSays = (() => {
  const block = Numbers.number(32, 256, { integer: true, among: [32, 64, 128, 256] });
  const rules = (chips) => ({
    device: Numbers.oneOf(...chips.map(({ device }) => device)), design: Numbers.oneOf(...Schedule.DESIGNS), head_dim: Numbers.oneOf(64, 128, 256), block_m: block, block_n: block,
    stages: Numbers.number(2, 4, { integer: true }), readers: Numbers.number(1, 64, { integer: true }),
  });
  const NAMES = { naive: "Naive", flash: "FlashAttention-2", specialised: "Warp-specialised", "ping-pong": "Ping-pong" };
  const UNITS = { memory: "memory", matrix: "the matrix units", special: "the special functions" };
  const BINDS = 0.85; // a unit that works so much of the time is what all wait for
  const percent = (share) => `${Math.round(100 * share)}%`;
  const all = (state, chip) => Object.fromEntries(Schedule.DESIGNS.map((design) => [design, Schedule.events(design, Schedule.costs(chip, state), state.stages)]));
  const says = (state, chip) => {
    const every = all(state, chip), found = every[state.design], time = Schedule.totalUs(found);
    const shares = Object.keys(UNITS).map((unit) => [unit, Schedule.busy(found, unit)]), [most, share] = shares.reduce((a, b) => (b[1] > a[1] ? b : a));
    const binds = share >= BINDS ? `What binds is ${UNITS[most]}, busy ${percent(share)} of the time.` : `Nothing binds alone: the busiest, ${UNITS[most]}, works ${percent(share)} of the time, and the units wait for each other.`;
    const faster = Schedule.totalUs(every.flash) / time, against = state.design === "flash" ? [] : [Math.abs(faster - 1) < 0.005 ? "That is no faster than FlashAttention-2 here." : faster > 1 ? `That is ${faster.toFixed(2)} times as fast as FlashAttention-2.` : `FlashAttention-2 is ${(1 / faster).toFixed(2)} times as fast.`];
    return [`${NAMES[state.design]}: ${Schedule.TILES} tiles take ${Numbers.brief(time)} µs, at most ${Numbers.brief(Schedule.tflops(found, chip))} TFLOP/s on the whole GPU.`, binds, ...against];
  };
  return { NAMES, UNITS, rules, all, says, percent };
})();
