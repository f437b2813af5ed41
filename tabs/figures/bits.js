// The twin of bits.py; needs formats.js.
const Bits = (() => {
  const beside = (bits, name, way) => {
    const { width, largest_code } = Formats.FORMATS[name], top = 2 ** (width - 1);
    const place = (bits & top ? -(bits - top) : bits) + way;
    if (Math.abs(place) > largest_code) return NaN;
    return Formats.decode(Math.abs(place) | (place < 0 ? top : 0), name);
  };
  const reading = (bits, name) => {
    const value = Formats.decode(bits, name);
    if (!Number.isFinite(value)) return { value, kind: Number.isNaN(value) ? "NaN" : "infinity", below: NaN, above: NaN };
    const kind = value === 0 ? "zero" : Formats.fields(bits, name).exponent === 0 ? "subnormal" : "normal";
    return { value, kind, below: beside(bits, name, -1), above: beside(bits, name, 1) };
  };
  // A double written out in full: every value of these formats ends somewhere.
  const exactText = (value) => {
    if (!Number.isFinite(value)) return Numbers.fixed(value);
    if (Object.is(value, -0)) return Numbers.MINUS + "0";
    let size = Math.abs(value), shift = 0;
    while (!Number.isInteger(size)) [size, shift] = [size * 2, shift + 1];
    const digits = (BigInt(size) * 5n ** BigInt(shift)).toString().padStart(shift + 1, "0");
    const whole = digits.slice(0, digits.length - shift), part = digits.slice(digits.length - shift);
    return (value < 0 ? Numbers.MINUS : "") + whole + (shift ? "." + part : "");
  };
  return { reading, exactText };
})();
