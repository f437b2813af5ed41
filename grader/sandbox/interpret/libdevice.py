"""libdevice in the interpreter: its functions computed by NumPy where NumPy or `math` has them, in the format they are given.

`triton.language.extra.libdevice` is a list of names that the compiler fills in; here it holds the functions of
`triton.language.extra.cuda.libdevice`, which end in `create_extern_elementwise` with the name of a function of NVIDIA's
library (`__nv_expf`). Results differ from a GPU's in the last place, and more for the `fast_` ones.

Source: NVIDIA, "libdevice User's Guide".
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
from triton.language.extra import libdevice as names
from triton.language.extra.cuda import libdevice
from triton.runtime import interpreter as stock


def _each(function: Callable[..., float]) -> Callable[..., np.ndarray]:
    """A function of `math` on arrays; NaN where it has no value, infinity where that is too large."""

    def one(*values: float) -> float:
        try:
            return function(*values)
        except OverflowError:
            return math.inf
        except ValueError:
            return math.inf if function in (math.lgamma, math.gamma) else math.nan

    return np.vectorize(one, otypes=[np.float64])


def _rsqrt(x: np.ndarray) -> np.ndarray:
    return 1 / np.sqrt(x)


def _away_from_zero(x: np.ndarray) -> np.ndarray:
    return np.where(np.abs(x) < 2**52, np.trunc(x + np.copysign(0.5, x)), x)


def _norm(*parts: np.ndarray) -> np.ndarray:
    return np.sqrt(sum(np.square(part, dtype=np.float64) for part in parts))


# By the library's name, without what tells its format (f, d, ll) and without fast_; all are computed in float64, then rounded.
_FLOATING: dict[str, Callable[..., np.ndarray]] = {
    **{name: getattr(np, name) for name in ("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sqrt", "cbrt")},
    **{name: getattr(np, name) for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh", "floor", "ceil", "trunc", "rint")},
    **{name: getattr(np, name) for name in ("fmod", "hypot", "copysign", "fabs")},
    **{f"a{name}": getattr(np, f"arc{name}") for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh")},
    "atan2": np.arctan2,
    "exp10": lambda x: np.power(10.0, x),
    "pow": np.power,
    "powi": np.power,
    "rsqrt": _rsqrt,
    "rcbrt": lambda x: 1 / np.cbrt(x),
    "rhypot": lambda x, y: 1 / np.hypot(x, y),
    "nearbyint": np.rint,
    "round": _away_from_zero,
    "remainder": lambda x, y: x - y * np.rint(x / y),
    "fdim": lambda x, y: np.where(x > y, x - y, np.where(np.isnan(x + y), x + y, 0.0)),
    "fma": lambda x, y, z: x * y + z,
    "fdividef": np.divide,
    "saturate": lambda x: np.where(np.isnan(x), 0.0, np.clip(x, 0.0, 1.0)),
    "sinpi": lambda x: np.sin(np.pi * np.fmod(x, 2.0)),
    "cospi": lambda x: np.cos(np.pi * np.fmod(x, 2.0)),
    "ldexp": lambda x, n: np.ldexp(x, n.astype(np.int32)),
    "scalbn": lambda x, n: np.ldexp(x, n.astype(np.int32)),
    "logb": lambda x: np.where(x == 0, -np.inf, np.floor(np.log2(np.abs(x)))),
    "norm3d": _norm,
    "norm4d": _norm,
    "rnorm3d": lambda *parts: 1 / _norm(*parts),
    "rnorm4d": lambda *parts: 1 / _norm(*parts),
    "erf": _each(math.erf),
    "erfc": _each(math.erfc),
    "lgamma": _each(math.lgamma),
    "tgamma": _each(math.gamma),
    "normcdf": lambda x: 0.5 * _each(math.erfc)(-x / math.sqrt(2.0)),
    "cyl_bessel_i0": np.i0,
}
# Rounded to nearest, as NumPy does: the `_rn` forms of one operation.
_ROUNDED = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "sqrt": np.sqrt, "rcp": np.reciprocal}
_INTEGER_OF_A_FLOAT: dict[str, Callable[..., np.ndarray]] = {
    "isnan": np.isnan,
    "isinf": np.isinf,
    "finite": np.isfinite,
    "isfinite": np.isfinite,
    "signbit": np.signbit,
    "llrint": np.rint,
    "llround": _away_from_zero,
    "ilogb": lambda x: np.floor(np.log2(np.abs(x))),
}
_BITS = ("float_as_int", "float_as_uint", "int_as_float", "uint_as_float", "double_as_longlong", "longlong_as_double")
_CONVERTED = re.compile(r"(?:float|double|u?int|u?ll)2(?:float|double|u?int|u?ll)_(rn|rz|rd|ru)")
_TOWARDS = {"rn": np.rint, "rz": np.trunc, "rd": np.floor, "ru": np.ceil}
_INTEGERS: dict[str, Callable[..., np.ndarray]] = {
    "abs": np.abs,
    "llabs": np.abs,
    "popc": lambda x: _bits(x).sum(axis=-1),
    "popcll": lambda x: _bits(x).sum(axis=-1),
    "clz": lambda x: np.argmax(np.concatenate([_bits(x)[..., ::-1], np.ones((*x.shape, 1), np.uint8)], axis=-1), axis=-1),
    "clzll": lambda x: np.argmax(np.concatenate([_bits(x)[..., ::-1], np.ones((*x.shape, 1), np.uint8)], axis=-1), axis=-1),
}


def install() -> None:
    """Patch the interpreter's builder and both modules."""
    stock.InterpreterBuilder.create_extern_elementwise = _create_extern_elementwise
    stock._patch_builtin(libdevice, stock.interpreter_builder, stock._LangPatchScope())
    for name in dir(libdevice):
        if hasattr(names, name) and not name.startswith("_"):
            setattr(names, name, getattr(libdevice, name))


def _create_extern_elementwise(
    self: Any, library: str, path: str, symbol: str, arguments: list[Any], type_of_result: Any, is_pure: bool
) -> Any:
    target = stock._get_np_dtype(type_of_result)
    values = [np.asarray(argument.data) for argument in arguments]
    function = function_of(symbol, target)
    if function is None:
        name = symbol.removeprefix("__nv_")
        raise NotImplementedError(f"libdevice's {name} cannot run on the CPU; write it with the functions of tl and tl.math")
    return stock.TensorHandle(function(*values), type_of_result.scalar)


def function_of(symbol: str, target: np.dtype) -> Callable[..., np.ndarray] | None:
    """What computes a function of the library on arrays, its result in `target`; None where nothing here does."""
    name = symbol.removeprefix("__nv_")
    if name in _INTEGERS:
        return lambda *values: _INTEGERS[name](*values).astype(target)
    if name in _BITS:
        return lambda value: value.view(target)
    if converted := _CONVERTED.fullmatch(name):
        towards = _TOWARDS[converted[1]] if np.issubdtype(target, np.integer) else np.asarray
        if np.issubdtype(target, np.floating) and converted[1] != "rn":
            return None
        return lambda value: towards(value).astype(target)
    if rounded := re.fullmatch(r"[fd](add|sub|mul|div|sqrt|rcp)_rn", name):
        return lambda *values: _ROUNDED[rounded[1]](*values).astype(target)
    if name == "frsqrt_rn":
        return lambda value: _rsqrt(value.astype(np.float64)).astype(target)
    name = name.removeprefix("fast_").removesuffix("_rn")
    for table in (_INTEGER_OF_A_FLOAT, _FLOATING):
        for plain in (name, name.removesuffix("f"), name.removesuffix("d")):
            if plain in table:
                function = table[plain]
                return lambda *values: function(*(value.astype(np.float64) for value in values)).astype(target)
    return None


def _bits(x: np.ndarray) -> np.ndarray:
    """The bits of integers along a last axis, the lowest first."""
    size = 8 * x.dtype.itemsize
    return (x[..., None].astype(np.uint64) >> np.arange(size, dtype=np.uint64) & np.uint64(1)).astype(np.uint8)
