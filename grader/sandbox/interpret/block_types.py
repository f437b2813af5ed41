"""Types of blocks for Triton's interpreter, worked out once a shape: stock Triton does it anew at every operation.

Nothing that a kernel can see is another: the same types, values and errors. What is taken here is the common way alone;
whatever it does not fit goes the stock way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import triton.language as tl
from triton.runtime import interpreter as stock

_core = tl.core
_SCALAR = _core.tuple([]), _core.constexpr(1)


def install() -> None:
    """Patch the language's types and what every operation asks of them; before the language itself is patched."""
    known: dict[tuple[int, ...], Any] = {}  # by shape: a type's shape, number of elements and text, a tensor's shape and number
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
            return
        stock_init(self, element_ty, shape)
        self.in_tensors = _core.tuple([_core.constexpr(size) for size in self.shape]), _core.constexpr(self.numel)
        if plain:
            known[sizes] = self.shape, self.numel, str(self.shape), self.in_tensors

    def tensor_init(self: Any, handle: Any, type: Any) -> None:
        self.handle, self.type, self.dtype = handle, type, type.scalar
        self.shape, self.numel = type.in_tensors if type.is_block() else _SCALAR

    def unwrap(value: Any) -> Any:
        return value if type(value) is int or isinstance(value, _core.dtype) else stock_unwrap(value)

    _core.block_type.__init__ = block_init
    _core.tensor.__init__ = tensor_init
    _core._unwrap_if_constexpr = unwrap
    for kind in (_core.dtype, _core.pointer_type, _core.block_type):
        kind.__eq__ = _same_at_once(kind.__eq__)
    _agree_at_once(type(stock.interpreter_semantic))
    stock._patch_attr = _with_semantic


def _same_at_once(equal: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    return lambda self, other: self is other or equal(self, other)


def _agree_at_once(semantic: Any) -> None:
    """Operands of one type and one shape are what they would be made into."""
    check, broadcast = semantic.binary_op_type_checking_impl, semantic.broadcast_impl_value

    def checked(
        self: Any, lhs: Any, rhs: Any, allow_lhs_ptr: bool = False, allow_rhs_ptr: bool = False,
        arithmetic_check: bool = True, div_or_mod: bool = False,
    ) -> Any:  # fmt: skip
        alike = isinstance(lhs, tl.tensor) and isinstance(rhs, tl.tensor) and lhs.dtype is rhs.dtype
        if alike and not (div_or_mod or lhs.dtype.is_ptr()):
            return self.broadcast_impl_value(lhs, rhs)
        return check(self, lhs, rhs, allow_lhs_ptr, allow_rhs_ptr, arithmetic_check, div_or_mod)

    def broadcasted(self: Any, lhs: Any, rhs: Any) -> Any:
        return (lhs, rhs) if getattr(lhs, "shape", None) is getattr(rhs, "shape", rhs) else broadcast(self, lhs, rhs)

    semantic.binary_op_type_checking_impl = checked
    semantic.broadcast_impl_value = broadcasted


def _with_semantic(place: Any, name: str, member: Any, builder: Any, scope: Any) -> None:
    """Instead of the interpreter's own: one call around an operation, not two."""
    operation, semantic = getattr(member, "__wrapped__", member), stock.interpreter_semantic

    def called(*args: Any, **kwargs: Any) -> Any:
        kwargs["_semantic"] = semantic
        return operation(*args, **kwargs)

    scope.set_attr(place, name, called)
