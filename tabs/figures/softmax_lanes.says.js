// What the figure of four softmax lanes may hold, and what it says of it; needs numbers.js, formats.js and softmax_lanes.js.
const LanesSays = (() => {
  const rules = { scores: Numbers.list(5, 5, Numbers.number(-1000, 1000)), shift: Numbers.number(-200, 200), temperature: Numbers.number(0.05, 100) };
  const ROUNDED = ["naive fp16", "naive fp32", "stable fp16"];
  const FORMAT = { fp16: { most: "65,504", bits: 16, normal: 2 ** -14, round: (x) => Formats.rounded(x, "fp16") }, fp32: { most: "3.4 × 10³⁸", bits: 32, normal: 2 ** -126, round: Math.fround } };
  const AGREES = 0.005, ALL = 0.999; // how far a share may be off; from which share on one score has all
  const formatOf = (name) => FORMAT[name.split(" ")[1]];
  const off = (probs, exact) => Math.max(...probs.map((p, i) => Math.abs(p - exact[i])));

  // What became of a lane: "overflow", "sum", "vanished", "agrees", "underflow", "inputs" or "steps", and by how much it is off.
  const fate = (name, x, lanes) => {
    const { exps, total, probs } = lanes[name], { round, normal } = formatOf(name), exact = lanes.exact.probs;
    if (exps.includes(Infinity)) return { name, kind: "overflow" };
    if (total === Infinity) return { name, kind: "sum" };
    if (total === 0) return { name, kind: "vanished" };
    const by = off(probs, exact);
    if (by <= AGREES) return { name, kind: "agrees", by };
    if (Math.max(...exps) < normal) return { name, kind: "underflow", by };
    return { name, by, kind: off(SoftmaxLanes.exact(x.map(round)).probs, exact) > by / 2 ? "inputs" : "steps" };
  };
  const fates = (x, lanes) => ROUNDED.map((name) => fate(name, x, lanes));

  const both = (found) => found.map(({ name }) => name).join(" and ");
  // The next number up with one digit: a bound that holds.
  const atMost = (value) => {
    if (value === 0) return "exactly";
    const unit = 10 ** Math.floor(Math.log10(value)), up = Math.ceil(value / unit - 1e-9) * unit * (1 + 1e-9);
    return `within ${up < 1e-3 ? Numbers.power(up, 0) : String(Number(up.toPrecision(1)))}`;
  };
  const short = (value) => String(Number(value.toPrecision(7))).replace("-", Numbers.MINUS);

  const told = {
    overflow: (found) => [`${both(found)}: an exp is inf, so is the sum, and inf / inf is NaN.`, "Nothing crashed; the answer is gone."],
    sum: (found) => found.map(({ name }) => `${name}: no exp is inf, but their sum passes ${formatOf(name).most} and is, so every share is x / inf = 0.`),
    vanished: (found) => [`${both(found)}: every exp is 0, and 0 / 0 is NaN.`],
    underflow: (found) => found.map(({ name, by }) => `${name} is off by ${Numbers.brief(by)}: its exps are so small that few bits are left of them.`),
    inputs: (found, x) => found.map(({ name, by }) => {
      const { bits, round } = formatOf(name), worst = x.reduce((a, b) => (Math.abs(b - round(b)) > Math.abs(a - round(a)) ? b : a));
      return `${name} is off by ${Numbers.brief(by)}: ${short(worst)} became ${short(round(worst))} in ${bits} bits before softmax saw it.`;
    }),
    steps: (found) => found.map(({ name, by }) => `${name} is off by ${Numbers.brief(by)}: each of its steps was rounded to ${formatOf(name).bits} bits.`),
  };

  // limit: past which score fp16 overflows, as text
  const says = (state, limit) => {
    const x = SoftmaxLanes.changed(state.scores, state.shift, state.temperature), lanes = SoftmaxLanes.lanes(x), all = fates(x, lanes);
    const of = (kind) => all.filter((one) => one.kind === kind), agree = of("agrees"), most = Math.max(...agree.map(({ by }) => by));
    const sentences = Object.keys(told).flatMap((kind) => (of(kind).length ? told[kind](of(kind), x) : []));
    if (agree.length === ROUNDED.length) sentences.push(`All four agree, ${atMost(most)}.`);
    else if (agree.length) sentences.push(`${both(agree)} ${agree.length > 1 ? "agree" : "agrees"} with exact, ${atMost(most)}.`);
    if (of("overflow").length + of("sum").length) sentences.push("Subtracting the max first costs little and cannot overflow.");
    const { exps, total } = lanes.exact, top = exps.indexOf(1), rest = exps.reduce((sum, e, i) => sum + (i === top ? 0 : e), 0) / total;
    if (1 - rest > ALL) sentences.push(rest > 0 ? `Score ${top + 1} takes all of the weight but ${Numbers.brief(rest)}.` : `Score ${top + 1} takes all of the weight.`);
    else if (agree.length === ROUNDED.length) sentences.push(`Push a score past ${limit}, or all of them with the shift, and see which lane lets go first.`);
    return sentences;
  };
  return { rules, fates, says, AGREES };
})();
