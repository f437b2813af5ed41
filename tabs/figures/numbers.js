// Numbers as people type and read them: what a field accepts, what it answers instead, and how a number is written. DOM-free.
const Numbers = (() => {
  const MINUS = "\u2212";
  const PLAIN = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

  // What a figure's state may hold. The same rule bounds the field and checks a shared link.
  // masked: "-inf" may be typed, and is kept as null; signed: −0 is another number than 0; among: none but these.
  const number = (min, max, { integer = false, masked = false, signed = false, among = null } = {}) => ({ kind: "number", min, max, integer, masked, signed, among });
  const flag = { kind: "flag" };
  const oneOf = (...values) => ({ kind: "oneOf", values });
  const list = (least, most, item) => ({ kind: "list", least, most, item });

  // Every digit that a reader could mean, and none that binary arithmetic added.
  const plain = (value) => String(Number(value.toPrecision(12)));
  const short = (text) => (text.length > 14 ? text.slice(0, 12) + "…" : text);

  const bounds = (value, rule, said) => {
    if (value > rule.max) return `${said} is too large: at most ${plain(rule.max)}.`;
    if (value < rule.min) return `${said} is too small: at least ${plain(rule.min)}.`;
    if (rule.integer && !Number.isInteger(value)) return `${said} is not a whole number.`;
    if (rule.among && !rule.among.includes(value)) return `${said} is none of ${rule.among.join(", ")}.`;
    return null;
  };

  // {value} or {error: one sentence}. With rule.masked, "-inf" stands for a masked score and is kept as null.
  const parse = (text, rule) => {
    const typed = text.trim().replace(MINUS, "-");
    if (typed === "") return { error: "The field is empty: type a number." };
    if (rule.masked && /^(-inf(inity)?|-∞|masked)$/i.test(typed)) return { value: null };
    if (/^[+-]?nan$/i.test(typed)) return { error: "NaN is not a number that can be drawn." };
    if (typed.length > 60 || !PLAIN.test(typed)) return { error: `“${short(typed)}” is not a number.` };
    const value = Number(typed), error = bounds(value, rule, short(typed));
    return error ? { error } : { value: value === 0 && !rule.signed ? 0 : value };
  };

  const parseList = (text, rule) => {
    const words = text.trim().split(/[\s,;]+/).filter(Boolean);
    if (words.length > rule.most) return { error: `${words.length.toLocaleString("en")} values are too many: at most ${rule.most}.` };
    if (words.length < rule.least) {
      return { error: words.length ? `${words.length} values are too few: at least ${rule.least}.` : "The field is empty: type numbers with spaces between them." };
    }
    const value = [];
    for (const [i, word] of words.entries()) {
      const one = parse(word, rule.item);
      if (one.error) return { error: `Value ${i + 1}: ${one.error}` };
      value.push(one.value);
    }
    return { value };
  };

  // null where `value` obeys `rule`, else the sentence that says why not. `rule` may be an object of rules.
  const check = (value, rule, name = "state") => {
    if (!rule.kind) {
      if (typeof value !== "object" || value === null || Array.isArray(value)) return `${name} is not an object.`;
      const strange = Object.keys(value).find((key) => !(key in rule));
      if (strange !== undefined) return `${short(strange)} is unknown.`;
      for (const key in rule) {
        const error = key in value ? check(value[key], rule[key], key) : `${key} is missing.`;
        if (error) return error;
      }
      return null;
    }
    if (rule.kind === "flag") return typeof value === "boolean" ? null : `${name} is neither true nor false.`;
    if (rule.kind === "oneOf") return rule.values.includes(value) ? null : `${name} is none of ${rule.values.join(", ")}.`;
    if (rule.kind === "list") {
      if (!Array.isArray(value)) return `${name} is not a list.`;
      if (value.length < rule.least || value.length > rule.most) return `${name} holds ${value.length} values: ${rule.least} to ${rule.most} fit.`;
      for (const item of value) {
        const error = check(item, rule.item, name);
        if (error) return error;
      }
      return null;
    }
    if (value === null && rule.masked) return null;
    return typeof value === "number" && Number.isFinite(value) ? bounds(value, rule, plain(value)) : `${name} is not a number.`;
  };

  // A number for reading: fixed digits, a true minus, and words for what is no number.
  const fixed = (value, digits = 2) => {
    if (value === null) return MINUS + "∞";
    if (Number.isNaN(value)) return "NaN";
    if (!Number.isFinite(value)) return value > 0 ? "inf" : MINUS + "inf";
    const text = Math.abs(value) >= 1e6 ? power(value) : value.toFixed(digits);
    return (Number(text) === 0 ? text.replace("-", "") : text).replace("-", MINUS);
  };
  const SUPER = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };
  const power = (value, digits = 2) => {
    const [mantissa, exponent] = value.toExponential(digits).split("e");
    return `${mantissa.replace("-", MINUS)} × 10${String(Number(exponent)).replace(/./g, (c) => SUPER[c])}`;
  };
  // Small and large in one: three significant digits, powers of ten outside 0.001 … 10^6.
  const brief = (value) => {
    if (value === null || !Number.isFinite(value)) return fixed(value);
    const size = Math.abs(value);
    if (size === 0) return "0";
    if (size < 1e-3 || size >= 1e6) return power(value, 1);
    return fixed(value, size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3);
  };
  const BYTES = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
  const bytes = (count) => {
    let size = count, unit = 0;
    while (size >= 1024 && unit < BYTES.length - 1) [size, unit] = [size / 1024, unit + 1];
    return `${Number.isInteger(size) ? size : size.toFixed(size < 10 ? 2 : size < 100 ? 1 : 0)} ${BYTES[unit]}`;
  };
  // Without a power of ten, which ARIA does not know.
  const plainly = (value) => value.toLocaleString("en", { useGrouping: false, maximumFractionDigits: 20 });
  // As a field shows what it holds.
  const typed = (value) => (value === null ? "-inf" : Object.is(value, -0) ? "-0" : plain(value));

  return { number, flag, oneOf, list, parse, parseList, check, fixed, power, brief, bytes, plainly, typed, MINUS };
})();
