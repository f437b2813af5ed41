"""bfloat16, float8 and TF32 for Triton's interpreter, which computes with their bit patterns or cuts where a GPU rounds.

Stock Triton 3.6 to 3.8: `tl.dot` of bfloat16 multiplies the patterns, bfloat16 arithmetic does too, casts to bfloat16 and
float8 truncate, `tl.full` knows no bfloat16. Here: values are widened to float32, computed there and rounded to nearest even,
float8 saturating as `cvt.rn.satfinite` does. float32 operands of `tl.dot` are rounded to TF32 unless the kernel says
`input_precision="ieee"`, as they are on every GPU from sm_80 on. Inline assembly stays impossible.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import triton.language as tl
from triton._C.libtriton import ir
from triton.runtime import interpreter as stock


@dataclasses.dataclass(frozen=True)
class _Format:
    """A float format that NumPy lacks: patterns of `bits`, a sign, `mantissa` bits behind the point, an exponent bias."""

    bits: int
    mantissa: int
    bias: int
    largest: float
    saturates: bool
    nan: int

    @property
    def pattern(self) -> Any:
        return np.uint16 if self.bits == 16 else np.uint8


_FORMATS = {  # by the name of the type, which Python compares at once
    tl.bfloat16.name: _Format(16, 7, 127, float.fromhex("0x1.fep127"), saturates=False, nan=0x7FC0),
    tl.float8e4nv.name: _Format(8, 3, 7, 448.0, saturates=True, nan=0x7F),
    tl.float8e5.name: _Format(8, 2, 15, 57344.0, saturates=True, nan=0x7F),
}
_PLAIN = (tl.float16, tl.float32, tl.float64)
_BITWISE = (np.bitwise_and, np.bitwise_or, np.bitwise_xor)
_COMPARISONS = (np.less, np.less_equal, np.greater, np.greater_equal, np.equal, np.not_equal)
_Handle = stock.TensorHandle


def install(builder: Any) -> None:
    """Patch an interpreter's builder class."""
    stock_convert = stock._convert_float
    stock_binary, stock_ternary, stock_cast = builder.binary_op, builder.ternary_op, builder.cast_impl
    stock_sum, stock_min_max = stock.ReduceOps.sum, stock.ReduceOps.min_max
    stock_scan = stock.ScanOps.apply_impl

    def convert_float(data: np.ndarray, source: Any, target: Any, rounding_mode: Any) -> np.ndarray:
        source, target = source.scalar, target.scalar
        toward_zero = rounding_mode is not None and rounding_mode == ir.ROUNDING_MODE.RTZ
        if _is_known(source) and _is_known(target) and not toward_zero:
            return convert(data, source, target)
        return stock_convert(data, source, target, rounding_mode)

    def cast_impl(self: Any, src: Any, dst_type: Any) -> Any:
        source, target = src.dtype.scalar, dst_type.scalar
        if target.name in _FORMATS:
            return _Handle(encode(widen(src), _FORMATS[target.name]), target)
        if source.name in _FORMATS:
            return stock_cast(self, _Handle(widen(src), tl.float32), dst_type)
        return stock_cast(self, src, dst_type)

    def binary_op(self: Any, lhs: Any, rhs: Any, op: Callable[..., Any]) -> Any:
        narrow = lhs.dtype.scalar
        if narrow.name not in _FORMATS or op in _BITWISE:
            return stock_binary(self, lhs, rhs, op)
        result = op(widen(lhs), widen(rhs))
        if op in _COMPARISONS:
            return _Handle(result, tl.int1)
        return _Handle(encode(result, _FORMATS[narrow.name]), narrow)

    def ternary_op(self: Any, lhs: Any, rhs: Any, other: Any, op: Callable[..., Any]) -> Any:
        narrow = other.dtype.scalar
        if narrow.name not in _FORMATS or op is np.where:
            return stock_ternary(self, lhs, rhs, other, op)
        return _Handle(encode(op(widen(lhs), widen(rhs), widen(other)), _FORMATS[narrow.name]), narrow)

    def create_fma(self: Any, x: Any, y: Any, z: Any) -> Any:
        narrow = z.dtype.scalar
        if narrow.name not in _FORMATS:
            return _Handle(x.data * y.data + z.data, narrow)
        return _Handle(encode(widen(x) * widen(y) + widen(z), _FORMATS[narrow.name]), narrow)

    def create_dot(self: Any, a: Any, b: Any, d: Any, input_precision: Any, max_num_imprecise_acc: Any) -> Any:
        lhs, rhs = widen(a), widen(b)
        if np.issubdtype(lhs.dtype, np.integer):
            product = np.matmul(lhs.astype(np.int64), rhs.astype(np.int64)).astype(d.data.dtype)
            return _Handle(product + d.data, d.dtype.scalar)
        if a.dtype.scalar == tl.float32 and input_precision == ir.INPUT_PRECISION.TF32:
            lhs, rhs = round_to_tf32(lhs), round_to_tf32(rhs)
        wide = np.float64 if lhs.dtype == np.float64 else np.float32
        total = np.matmul(lhs.astype(wide), rhs.astype(wide)) + widen(d).astype(wide)
        return _Handle(narrow_to(total, d.dtype.scalar), d.dtype.scalar)

    def get_bf16(self: Any, value: float) -> Any:
        return _Handle(encode(np.array([value]), _FORMATS[tl.bfloat16.name]), tl.bfloat16)

    def reduce_sum(self: Any, input: Any) -> Any:
        return _through_float32(self, input, lambda wide: stock_sum(self, wide))

    def reduce_min_max(self: Any, input: Any, val_reduce_op: Any, idx_reduce_op: Any = None) -> Any:
        input = input[0] if isinstance(input, tuple) else input
        return _through_float32(self, input, lambda wide: stock_min_max(self, wide, val_reduce_op, idx_reduce_op))

    def scan(self: Any, input: Any) -> Any:
        if len(input) == 1 and input[0].dtype.scalar.name in _FORMATS:
            narrow = input[0].dtype.scalar
            wide = self.to_tensor(widen(input[0].handle), tl.float32)
            return [_narrowed(self, item, narrow) for item in stock_scan(self, (wide,))]
        return stock_scan(self, input)

    stock._convert_float = convert_float
    builder.cast_impl = cast_impl
    builder.binary_op = binary_op
    builder.ternary_op = ternary_op
    builder.create_fma = create_fma
    builder.create_dot = create_dot
    builder.get_bf16 = get_bf16
    stock.ReduceOps.sum = reduce_sum
    stock.ReduceOps.min_max = reduce_min_max
    stock.ScanOps.apply_impl = scan


def convert(data: np.ndarray, source: Any, target: Any) -> np.ndarray:
    """Values of one float format in another, rounded to nearest even; patterns stand for what NumPy has no type for."""
    values = decode(data, _FORMATS[source.name]) if source.name in _FORMATS else np.asarray(data)
    return encode(values, _FORMATS[target.name]) if target.name in _FORMATS else values.astype(stock._get_np_dtype(target))


def decode(patterns: np.ndarray, form: _Format) -> np.ndarray:
    """Patterns as float32, exactly."""
    if form.bits == 16:
        return (np.asarray(patterns).astype(np.uint32) << 16).view(np.float32)
    return _table(form)[patterns]


def encode(values: np.ndarray, form: _Format) -> np.ndarray:
    """Numbers as patterns, rounded once, to nearest even; beyond the largest they saturate or become infinite."""
    if form.bits == 16 and values.dtype == np.float32:
        return _upper_half(values)
    exact = np.asarray(values, dtype=np.float64)
    size = np.abs(exact)
    _, exponent = np.frexp(size)  # size = fraction * 2**exponent with fraction in [0.5, 1)
    exponent = np.where(size == 0, 1 - form.bias, np.maximum(exponent - 1, 1 - form.bias))
    steps = np.rint(np.ldexp(size, form.mantissa - exponent))  # in units of the last place
    steps = np.where(np.isfinite(steps), steps, 0.0)
    # a carry out of the mantissa runs into the exponent's bits by itself, and so does a subnormal that becomes normal
    pattern = ((exponent + form.bias - 1).astype(np.int64) << form.mantissa) + steps.astype(np.int64)
    last = _last_pattern(form)
    above = last if form.saturates else last + 1
    pattern = np.where((pattern > last) | np.isinf(size), above, pattern)
    pattern = np.where(np.isnan(exact), form.nan, pattern)
    return (pattern | (np.signbit(exact).astype(np.int64) << (form.bits - 1))).astype(form.pattern)


def _upper_half(values: np.ndarray) -> np.ndarray:
    """float32 to bfloat16: the upper half of the pattern, rounded by what the lower half carries into it."""
    bits = np.ascontiguousarray(values).view(np.uint32)
    rounded = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
    quiet_nan = (bits >> np.uint32(16)) | np.uint32(0x40)
    return np.where(np.isnan(values), quiet_nan, rounded).astype(np.uint16)


def _last_pattern(form: _Format) -> int:
    fraction, exponent = np.frexp(form.largest)
    steps = int(np.ldexp(fraction, form.mantissa + 1))
    return ((int(exponent) - 1 + form.bias - 1) << form.mantissa) + steps


@functools.cache
def _table(form: _Format) -> np.ndarray:
    """The float32 of each of the 256 patterns."""
    patterns = np.arange(256)
    exponent, mantissa = (patterns & 0x7F) >> form.mantissa, patterns & ((1 << form.mantissa) - 1)
    normal = np.ldexp(1.0 + np.ldexp(mantissa.astype(np.float64), -form.mantissa), exponent - form.bias)
    subnormal = np.ldexp(mantissa.astype(np.float64), 1 - form.bias - form.mantissa)
    size = np.where(exponent == 0, subnormal, normal)
    last = _last_pattern(form)
    beyond = (patterns & 0x7F) > last
    infinite = beyond & (mantissa == 0)
    size = np.where(infinite, np.inf, np.where(beyond, np.nan, size))
    return np.where(patterns >= 128, -size, size).astype(np.float32)


def _is_known(dtype: Any) -> bool:
    return dtype in _PLAIN or dtype.name in _FORMATS


def widen(handle: Any) -> np.ndarray:
    """A handle's values; formats kept as patterns become float32."""
    form = _FORMATS.get(handle.dtype.scalar.name)
    return handle.data if form is None else decode(handle.data, form)


def narrow_to(data: np.ndarray, target: Any) -> np.ndarray:
    """float32 or float64 values in the format `target`."""
    if target.name in _FORMATS:
        return encode(data, _FORMATS[target.name])
    return data.astype(stock._get_np_dtype(target))


def round_to_tf32(data: np.ndarray) -> np.ndarray:
    """float32 with ten bits of mantissa, rounded to nearest, halves away from zero (PTX `cvt.rna.tf32.f32`)."""
    bits = np.ascontiguousarray(data, dtype=np.float32).view(np.uint32)
    rounded = ((bits + np.uint32(0x1000)) & np.uint32(0xFFFFE000)).view(np.float32)
    return np.where(np.isfinite(data), rounded, data)


def _through_float32(operation: Any, input: Any, reduce: Callable[[Any], Any]) -> Any:
    narrow = input.dtype.scalar
    if narrow.name not in _FORMATS:
        return reduce(input)
    result = reduce(operation.to_tensor(widen(input.handle), tl.float32))
    if isinstance(result, tuple):
        return (_narrowed(operation, result[0], narrow), *result[1:])
    return result if result.dtype == tl.int32 else _narrowed(operation, result, narrow)


def _narrowed(operation: Any, tensor: Any, narrow: Any) -> Any:
    data = encode(tensor.handle.data, _FORMATS[narrow.name])
    kind = tl.block_type(narrow, list(data.shape)) if tensor.type.is_block() else narrow
    return tl.core.tensor(_Handle(data, narrow), kind)
