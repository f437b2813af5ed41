"""Types of blocks for Triton's interpreter, worked out once a shape: stock Triton does it anew at every operation.

Nothing that a kernel can see is another: the same types, values and errors. What is taken here is the common way alone;
whatever it does not fit goes the stock way.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import triton.language as tl
from triton.runtime import interpreter as stock

Sizes = tuple[int, ...]

_core = tl.core
_SCALAR = _core.tuple([]), _core.constexpr(1)
_AS_IT_IS = {int, float, bool, str, slice, type(None), tl.tensor}  # kinds of values that are no constexpr and hold none
_WHOLE_AXIS = slice(None)


def install() -> None:
    """Patch the language's types and what every operation asks of them; before the language itself is patched."""
    known: dict[Sizes, Any] = {}  # by shape: a type's shape, number of elements and text, a tensor's shape and number
    stock_init, stock_unwrap = _core.block_type.__init__, _core._unwrap_if_constexpr

    def block_init(self: Any, element_ty: Any, shape: Any) -> None:
        sizes = tuple(shape)
        if not {int}.issuperset(map(type, sizes)):
            sizes = tuple([getattr(size, "value", size) for size in sizes])
        plain = {int}.issuperset(map(type, sizes))
        if plain and sizes in known:
            self.element_ty = element_ty
            self.shape, self.numel, text, self.in_tensors = known[sizes]
            self.name = f"<{text}, {element_ty}>"
        else:
            stock_init(self, element_ty, shape)
            self.in_tensors = _core.tuple([_core.constexpr(size) for size in self.shape]), _core.constexpr(self.numel)
            if plain:
                known[sizes] = self.shape, self.numel, str(self.shape), self.in_tensors
        self.sizes = sizes if plain else None

    def tensor_init(self: Any, handle: Any, type: Any) -> None:
        self.handle, self.type, self.dtype = handle, type, type.scalar
        self.shape, self.numel = type.in_tensors if type.__class__ is _core.block_type else _SCALAR

    def unwrap(value: Any) -> Any:
        return value if type(value) in _AS_IT_IS or isinstance(value, _core.dtype) else stock_unwrap(value)

    _core.block_type.__init__ = block_init
    _core.block_type.with_element_ty = _with_element
    _core.block_type.to_ir = _as_itself(_core.block_type.to_ir)
    _core.tensor.__init__ = tensor_init
    _core.tensor.__getitem__ = _core.builtin(_with_new_axes(_core.tensor.__getitem__))
    _core._unwrap_if_constexpr = unwrap
    for kind in (_core.dtype, _core.pointer_type, _core.block_type):
        kind.__eq__ = _same_at_once(kind.__eq__)
    _agree_at_once(type(stock.interpreter_semantic))
    _shape_at_once(stock.InterpreterBuilder)
    stock.TensorHandle.__post_init__ = _held_at_once(stock.TensorHandle.__post_init__)
    stock._patch_attr = _with_semantic


def _block(element: Any, sizes: Sizes) -> Any:
    """The type of a block, the same object each time that it is asked for."""
    of_element = element.__dict__.get("blocks")
    if of_element is None:
        of_element = element.blocks = {}
    if sizes not in of_element:
        of_element[sizes] = _core.block_type(element, list(sizes))
    return of_element[sizes]


def _with_element(self: Any, element: Any) -> Any:
    return _core.block_type(element, self.shape) if self.sizes is None else _block(element, self.sizes)


def _as_itself(to_ir: Callable[..., Any]) -> Callable[..., Any]:
    """What the interpreter makes of a type is the same type."""

    def as_itself(self: Any, builder: Any) -> Any:
        found = self.__dict__.get("made")
        if found is None:
            found = self.made = to_ir(self, builder)
        return found

    return as_itself


def _held_at_once(stock_check: Callable[[Any], None]) -> Callable[[Any], None]:
    """Cells that are no larger than their type says are not looked at again."""

    def check(self: Any) -> None:
        bits = self.dtype.__dict__.get("primitive_bitwidth")
        if bits is None or self.data.itemsize * 8 > bits:
            stock_check(self)

    return check


def _same_at_once(equal: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    return lambda self, other: self is other or equal(self, other)


def _with_new_axes(stock_item: Any) -> Callable[..., Any]:
    """x[:, None] and the like."""
    item = stock_item.__wrapped__

    def new_axes(self: Any, slices: Any, _semantic: Any = None) -> Any:
        if type(slices) is not tuple or not all(each is None or each == _WHOLE_AXIS for each in slices):
            return item(self, slices, _semantic=_semantic)
        for axis, each in enumerate(slices):
            if each is None:
                self = _semantic.expand_dims(self, axis)
        return self

    return new_axes


def _agree_at_once(semantic: Any) -> None:
    """Operands of one type and one shape are what they would be made into."""
    check, broadcast, expand = semantic.binary_op_type_checking_impl, semantic.broadcast_impl_value, semantic.expand_dims
    cast = semantic.cast

    def checked(
        self: Any, lhs: Any, rhs: Any, allow_lhs_ptr: bool = False, allow_rhs_ptr: bool = False,
        arithmetic_check: bool = True, div_or_mod: bool = False,
    ) -> Any:  # fmt: skip
        tensors = isinstance(lhs, tl.tensor), isinstance(rhs, tl.tensor)
        if all(tensors):
            left, right = lhs.dtype, rhs.dtype
            if left is right and not (div_or_mod or left.is_ptr()):
                return self.broadcast_impl_value(lhs, rhs)
            if (left.is_ptr() and allow_lhs_ptr and right.is_int()) or (right.is_ptr() and allow_rhs_ptr and left.is_int()):
                return self.broadcast_impl_value(lhs, rhs)
        elif arithmetic_check and tensors[0] and type(rhs) in (int, float):
            both = _type_of_both(self, lhs.dtype, rhs, div_or_mod)
            if both is not None:
                return self.broadcast_impl_value(self.cast(lhs, both), self.scalar_constant(rhs, dtype=both))
        elif arithmetic_check and tensors[1] and type(lhs) in (int, float):
            both = _type_of_both(self, rhs.dtype, lhs, div_or_mod)
            if both is not None:
                return self.broadcast_impl_value(self.scalar_constant(lhs, dtype=both), self.cast(rhs, both))
        return check(self, lhs, rhs, allow_lhs_ptr, allow_rhs_ptr, arithmetic_check, div_or_mod)

    def casted(self: Any, input: Any, dst_ty: Any, fp_downcast_rounding: Any = None) -> Any:
        return input if input.type.scalar is dst_ty.scalar else cast(self, input, dst_ty, fp_downcast_rounding)

    def broadcasted(self: Any, lhs: Any, rhs: Any) -> Any:
        left, right = lhs.type, rhs.type
        blocks = left.__class__ is _core.block_type, right.__class__ is _core.block_type
        if all(blocks):
            if left.shape is right.shape:
                return lhs, rhs
            sizes = _together(left.sizes, right.sizes)
            if sizes is not None:
                return _spread(self, lhs, sizes), _spread(self, rhs, sizes)
        elif blocks[0] and not right.is_block():
            return lhs, _splatted(self, rhs, left)
        elif blocks[1] and not left.is_block():
            return _splatted(self, lhs, right), rhs
        return broadcast(self, lhs, rhs)

    def expanded(self: Any, input: Any, axis: int) -> Any:
        sizes = input.type.sizes if input.type.is_block() else None
        if sizes is None or not 0 <= axis <= len(sizes):
            return expand(self, input, axis)
        wider = _block(input.type.scalar, (*sizes[:axis], 1, *sizes[axis:]))
        return self.tensor(self.builder.create_expand_dims(input.handle, axis), wider)

    semantic.binary_op_type_checking_impl = checked
    semantic.cast = casted
    semantic.broadcast_impl_value = broadcasted
    semantic.expand_dims = expanded


def _type_of_both(semantic: Any, dtype: Any, number: Any, div_or_mod: bool) -> Any:
    """The type in which a tensor's cells meet a number; None where it is the stock way's to say, or to refuse."""
    if dtype.is_ptr():
        return None
    both = _computed_in(semantic, dtype.name, _type_of_number(semantic, type(number).__name__, number), div_or_mod)
    if both is None or not both.is_int():
        return both
    fits = both.get_int_min_value() <= number <= both.get_int_max_value()
    return both if fits else None


@functools.lru_cache(maxsize=4096)
def _type_of_number(semantic: Any, kind: str, number: Any) -> str:
    """As Triton makes a tensor of it, by its name; Triton 3.6 has no other way to say so."""
    return semantic.to_tensor(number).dtype.name


@functools.cache
def _computed_in(semantic: Any, tensor: str, number: str, div_or_mod: bool) -> Any:
    """As Triton says; by the names of its own types."""
    own = {each.name: each for each in vars(tl).values() if type(each) is tl.dtype}
    try:
        return semantic.computation_type_impl(own[tensor], False, own[number], True, div_or_mod)
    except (KeyError, TypeError):
        return None


def _shape_at_once(builder: Any) -> None:
    """Blocks made of cells that are there, without NumPy's own questions."""
    splat = builder.create_splat

    def create_splat(self: Any, ret_ty: Any, arg: Any) -> Any:
        if ret_ty.sizes is None or arg.dtype.is_block():
            return splat(self, ret_ty, arg)
        cells = np.empty(ret_ty.sizes, stock._get_np_dtype(arg.dtype))
        cells[...] = arg.data
        return stock.TensorHandle(cells, arg.dtype.scalar)

    def create_expand_dims(self: Any, arg: Any, axis: int) -> Any:
        sizes = arg.data.shape
        return stock.TensorHandle(arg.data.reshape((*sizes[:axis], 1, *sizes[axis:])), arg.dtype.scalar)

    builder.create_splat = create_splat
    builder.create_expand_dims = create_expand_dims


def _splatted(semantic: Any, scalar: Any, like: Any) -> Any:
    """A scalar as a block of another's shape."""
    block = like.with_element_ty(scalar.type.scalar)
    return semantic.tensor(semantic.builder.create_splat(block, scalar.handle), block)


def _spread(semantic: Any, tensor: Any, sizes: Sizes) -> Any:
    """A block as one of that shape."""
    if tensor.type.sizes == sizes:
        return tensor
    block = _block(tensor.type.scalar, sizes)
    return semantic.tensor(semantic.builder.create_broadcast(tensor.handle, sizes), block)


@functools.cache
def _together(left: Sizes | None, right: Sizes | None) -> Sizes | None:
    """The shape of two blocks together; None where it is the stock way's to say, or to refuse."""
    if left is None or right is None or len(left) != len(right):
        return None
    if any(1 not in pair and pair[0] != pair[1] for pair in zip(left, right, strict=True)):
        return None
    return tuple(map(max, zip(left, right, strict=True)))


def _with_semantic(place: Any, name: str, member: Any, builder: Any, scope: Any) -> None:
    """Instead of the interpreter's own: one call around an operation, not two."""
    operation, semantic = getattr(member, "__wrapped__", member), stock.interpreter_semantic

    def called(*args: Any, **kwargs: Any) -> Any:
        kwargs["_semantic"] = semantic
        return operation(*args, **kwargs)

    scope.set_attr(place, name, called)
