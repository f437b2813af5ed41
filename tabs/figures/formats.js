// The twin of formats.py.
const Formats = (() => {
  const form = (name, exponent_bits, mantissa_bits, special) => {
    const width = 1 + exponent_bits + mantissa_bits, ones = 2 ** (width - 1) - 1;
    return {
      name, exponent_bits, mantissa_bits, special, width, bias: 2 ** (exponent_bits - 1) - 1,
      largest_code: { ieee: ones - 2 ** mantissa_bits, nan: ones - 1, none: ones }[special],
      nan_code: { ieee: ones - (2 ** (mantissa_bits - 1) - 1), nan: ones, none: ones }[special],
    };
  };
  const FORMATS = {
    fp16: form("FP16", 5, 10, "ieee"), bf16: form("BF16", 8, 7, "ieee"), e5m2: form("FP8 E5M2", 5, 2, "ieee"),
    e4m3: form("FP8 E4M3", 4, 3, "nan"), e2m1: form("NVFP4 E2M1", 2, 1, "none"),
  };
  const fields = (bits, name) => {
    const { exponent_bits, mantissa_bits, width } = FORMATS[name];
    return { sign: (bits >>> (width - 1)) & 1, exponent: (bits >>> mantissa_bits) & (2 ** exponent_bits - 1), mantissa: bits & (2 ** mantissa_bits - 1) };
  };
  const decode = (bits, name) => {
    const { exponent_bits, mantissa_bits, special, bias } = FORMATS[name], { sign, exponent, mantissa } = fields(bits, name);
    const top = exponent === 2 ** exponent_bits - 1;
    let size = (exponent === 0 ? mantissa : mantissa + 2 ** mantissa_bits) * 2 ** (Math.max(exponent, 1) - bias - mantissa_bits);
    if (special === "ieee" && top) size = mantissa === 0 ? Infinity : NaN;
    if (special === "nan" && top && mantissa === 2 ** mantissa_bits - 1) size = NaN;
    return sign ? -size : size;
  };
  const view = new DataView(new ArrayBuffer(8));
  const exponentOf = (size) => {
    view.setFloat64(0, size);
    return ((view.getUint32(0) >>> 20) & 0x7ff) - 1023;
  };
  const even = (value) => {
    const below = Math.floor(value), rest = value - below;
    return rest > 0.5 || (rest === 0.5 && below % 2 === 1) ? below + 1 : below;
  };
  const encode = (value, name, saturate = false) => {
    const { mantissa_bits, special, bias, width, largest_code, nan_code } = FORMATS[name];
    if (Number.isNaN(value)) return nan_code;
    const size = Math.abs(value), sign = (value < 0 || Object.is(value, -0) ? 1 : 0) << (width - 1);
    const exponent = Math.max(exponentOf(size), 1 - bias);
    let code = Number.isFinite(size) ? (exponent + bias - 1) * 2 ** mantissa_bits + even(size * 2 ** (mantissa_bits - exponent)) : Infinity;
    if (code > largest_code) code = saturate || special === "none" ? largest_code : largest_code + 1;
    return sign | code;
  };
  const rounded = (value, name, saturate = false) => decode(encode(value, name, saturate), name);
  const positiveValues = (name) => Array.from({ length: FORMATS[name].largest_code + 1 }, (_, code) => decode(code, name));
  const maximum = (name) => decode(FORMATS[name].largest_code, name);
  return { FORMATS, fields, decode, encode, rounded, positiveValues, maximum, even };
})();
