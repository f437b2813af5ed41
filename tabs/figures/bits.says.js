// What the figure of one number's bits may hold, and what it says of it; needs numbers.js, formats.js and bits.js.
const BitsSays = (() => {
  const NAMES = Object.keys(Formats.FORMATS);
  const rules = { format: Numbers.oneOf(...NAMES), bits: Numbers.number(0, 65535, { integer: true }) };
  const check = (state) => (state.bits >= 2 ** Formats.FORMATS[state.format].width ? "bits has more bits than the format." : null);
  const show = (value) => (Number.isNaN(value) ? "–" : Math.abs(value) >= 1e6 || (value !== 0 && Math.abs(value) < 1e-4) ? Numbers.power(value, 3) : String(Number(value.toPrecision(7))).replace("-", Numbers.MINUS));
  const full = (value) => {
    const text = Bits.exactText(value);
    return text.length > 34 ? Numbers.power(value, 6) : text;
  };
  const minus = (text) => String(text).replace("-", Numbers.MINUS);
  const formula = ({ bits, format }) => {
    const form = Formats.FORMATS[format], { sign, exponent, mantissa } = Formats.fields(bits, format), { value, kind } = Bits.reading(bits, format);
    if (kind === "infinity") return `${full(value)}: the exponent is all ones, the mantissa 0`;
    if (kind === "NaN") return `NaN: the exponent is all ones${form.special === "nan" ? " and so is the mantissa" : ", the mantissa not 0"}`;
    const steps = 2 ** form.mantissa_bits, power = (exponent || 1) - form.bias, hidden = exponent ? 1 : 0;
    return `${sign ? Numbers.MINUS : "+"}1 × 2^(${exponent || 1} − ${form.bias}) × ${hidden ? "(1 + " : "("}${mantissa}/${steps}) = ${sign ? Numbers.MINUS : ""}2^${minus(power)} × ${hidden + mantissa / steps} = ${show(value)}`;
  };
  // What rounds to the format's end, and what lies behind it.
  const beyond = (format) => {
    const form = Formats.FORMATS[format], most = Formats.maximum(format), edge = show(most + (most - Formats.decode(form.largest_code - 1, format)) / 2);
    if (form.special === "none") return `${form.name} has neither inf nor NaN: whatever is larger becomes ${show(most)}.`;
    if (form.special === "nan") return `${form.name} has no inf: what is larger than ${edge} becomes NaN in a plain cast, ${show(most)} in one that saturates.`;
    return `From ${edge} on a plain cast gives inf; one that saturates keeps ${show(most)}.`;
  };
  const says = (state) => {
    const { value, kind, below, above } = Bits.reading(state.bits, state.format), form = Formats.FORMATS[state.format];
    if (!Number.isFinite(value)) return [`${form.name}: ${Numbers.fixed(value)}.`, beyond(state.format)];
    const here = `${form.name}: ${full(value)}, ${kind}.`, top = Math.abs(value) === Formats.maximum(state.format);
    return top ? [here, beyond(state.format)] : [here, `Its neighbours are ${show(below)} and ${show(above)}.`];
  };
  return { NAMES, rules, check, show, full, formula, says };
})();
