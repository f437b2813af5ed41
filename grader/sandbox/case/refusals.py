"""What a submission's host code may do with torch, and a kind word about everything else. NOT a wall: Python gets around it.

Allowed: making scratch (`empty`, `zeros`, `ones`, `full`, their `_like` and `new_` forms), `zero_` and `fill_` of scratch and
`out`, views, and questions about shape, strides, dtype and device. Any other operator would do the kernels' work, or read a
value on the host. Scratch is counted, held until the case ends, and poisoned unless it is filled.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import torch
import triton.language as tl
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from grader.sandbox.case.address_map import AddressMap, Region
from grader.sandbox.case.lent import POISON, Memory
from grader.sandbox.case.pretended_gpu import DEVICE
from grader.sandbox.protocol import extent

aten = torch.ops.aten

# operator -> what the new cells hold: None for nothing, a number, or "value" for the operator's own argument
_FACTORIES: dict[Any, Any] = {
    aten.empty.memory_format: None,
    aten.empty_strided.default: None,
    aten.empty_like.default: None,
    aten.new_empty.default: None,
    aten.new_empty_strided.default: None,
    aten.zeros.default: 0,
    aten.zeros_like.default: 0,
    aten.new_zeros.default: 0,
    aten.ones.default: 1,
    aten.ones_like.default: 1,
    aten.new_ones.default: 1,
    aten.full.default: "value",
    aten.full_like.default: "value",
    aten.new_full.default: "value",
}
# Where nobody says where, on the CPU.
_MAKERS = frozenset((torch.empty, torch.zeros, torch.ones, torch.full, torch.empty_strided))
_FILL_ARGUMENT = {aten.full.default: 1, aten.full_like.default: 1, aten.new_full.default: 2}
_FILLS = {aten.zero_.default, aten.fill_.Scalar}

_HOST_READS = frozenset(
    ("item", "tolist", "numpy", "cpu", "is_nonzero", "equal", "allclose", "__array__", "__dlpack__", "__bool__", "__float__")
    + ("__int__", "__index__", "__complex__", "__repr__", "__format__", "__contains__", "__reduce_ex__", "__deepcopy__")
)
_SIGNS = {
    "add": "+",
    "sub": "-",
    "rsub": "-",
    "mul": "*",
    "div": "/",
    "true_divide": "/",
    "matmul": "@",
    "pow": "**",
    "eq": "==",
    "ne": "!=",
    "lt": "<",
    "le": "<=",
    "gt": ">",
    "ge": ">=",
    "neg": "-",
}
# Of a whole tensor these give one value, and what else could a host want with it but read it?
_TO_ONE_VALUE = frozenset(("max", "min", "amax", "amin", "sum", "any", "all", "argmax", "argmin", "count_nonzero"))
_COPIES = frozenset(("contiguous", "reshape", "flatten", "clone", "copy_", "to", "float", "half", "bfloat16", "double", "type"))
_WHY_NO_READ = "the host would wait for the GPU and copy the value over, which costs more than a small kernel"


class Refused(Exception):
    """The submission used what is not allowed. `line` is set where no frame of it is on the stack."""

    def __init__(self, text: str, line: int | None = None) -> None:
        super().__init__(text)
        self.line = line


@dataclasses.dataclass(frozen=True)
class ScratchFill:
    """A fill of a tensor's cells, for a record: on a GPU it is a command among the launches."""

    tensor: torch.Tensor
    value: float | int | bool


class HostRules:
    """The rules for one call of the entry function, or for the import of a submission.

    Args:
        addresses: scratch is added to it.
        scratch_limit_bytes: all scratch of the call together; None for no limit.
        poison: the byte that scratch is made of which nobody filled.
        compute: whether cells hold anything. A recorder says no: then fills are only told to `on_fill`.
        on_fill: told of every fill, in order.
        where: names the scratch after its place in the call.
    """

    def __init__(
        self,
        addresses: AddressMap,
        *,
        scratch_limit_bytes: int | None = None,
        compute: bool = True,
        poison: int = POISON,
        on_fill: Callable[[ScratchFill], None] = lambda fill: None,
    ) -> None:
        self.addresses = addresses
        self.scratch_bytes = 0
        self.first_refusal: Refused | None = None  # kept, since a submission can catch what is raised
        self.api_name = ""  # the torch function that the submission called, while it runs
        self._limit = scratch_limit_bytes
        self._compute = compute
        self._poison = poison
        self._on_fill = on_fill
        self.scratch_regions: list[Region] = []
        self._held: list[torch.Tensor] = []

    @contextmanager
    def in_force(self) -> Iterator[None]:
        with _FunctionRules(self), _DispatchRules(self):
            yield

    def refuse(self, text: str) -> Refused:
        """The exception to raise; the first one is remembered."""
        refused = Refused(text)
        self.first_refusal = self.first_refusal or refused
        return refused

    def refuse_read(self, name: str) -> Refused:
        return self.refuse(f"{name} reads a tensor's values on the host, which is not allowed here: {_WHY_NO_READ}.")

    def scratch(self, like: torch.Tensor, value: float | int | bool | None) -> torch.Tensor:
        """Memory of the form of `like` (a meta tensor): counted, registered, filled or poisoned."""
        shape, strides = tuple(like.shape), tuple(like.stride())
        size = extent(shape, strides) * like.dtype.itemsize
        self.scratch_bytes += size
        if self._limit is not None and self.scratch_bytes > self._limit:
            text = f"this call allocates {self.scratch_bytes:,} bytes of scratch; this case allows {self._limit:,}"
            raise self.refuse(f"{text}.")
        try:
            memory = Memory.zeros(size) if self._compute else Memory.addresses(size)
        except OSError as error:
            raise MemoryError(f"{size:,} bytes of scratch are more than can be had here") from error
        if value is None and self._compute:
            memory.poison(self._poison)
        tensor = memory.tensor(offset=0, shape=shape, strides=strides, dtype=like.dtype)
        if size:
            name = f"scratch (line {own_line()})"
            place = tensor.data_ptr(), tensor.data_ptr() + size
            region = Region(name, *place, writable=True, scratch=True, shape=shape, strides=strides)
            self.addresses.add(region)
            self.scratch_regions.append(region)
        self._held.append(tensor)
        if value is not None:
            self.fill(tensor, value)
        return tensor

    def fill(self, tensor: torch.Tensor, value: float | int | bool) -> None:
        """ScratchFill cells of scratch or `out`."""
        if tensor.numel() == 0:
            return
        region = self.addresses.find(tensor.data_ptr())
        if region is None or not region.writable:
            name = region.name if region else "a tensor made outside the entry function"
            raise self.refuse(f"{self.api_name or 'a fill'} would change {name}: only out and scratch may be filled.")
        if self._compute:
            tensor.fill_(value)
        self._on_fill(ScratchFill(tensor, value))


class _FunctionRules(TorchFunctionMode):
    """Sees torch's functions by the names the submission calls them by, and answers for the device."""

    def __init__(self, rules: HostRules) -> None:
        super().__init__()
        self._rules = rules

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in _ANSWERS:
            return _ANSWERS[func]
        name = getattr(func, "__name__", "")
        if name in _HOST_READS or (name in _TO_ONE_VALUE and len(args) == 1 and not kwargs):
            raise self._rules.refuse_read(_readable(func))
        if func is torch.Tensor.cuda:
            return args[0]
        if func is torch.device:
            return func(*args, **(kwargs or {}))
        if func is torch.tensor or func is torch.as_tensor:
            raise self._rules.refuse(f"{_readable(func)} is not allowed here: pass numbers to the kernel as arguments.")
        kwargs = kwargs or {}
        where = kwargs.get("device")
        self._rules.api_name = _readable(func)
        try:
            made = func(
                *map(_on_cpu, args), **{**kwargs, "device": _on_cpu(where, alone=True)} if "device" in kwargs else kwargs
            )
        finally:
            self._rules.api_name = ""
        if func in _MAKERS and made.numel() and _on_host(_default_device() if where is None else where):
            text = "makes a tensor on the CPU here, where no kernel reaches it: say device=x.device, of a tensor that you got."
            raise self._rules.refuse(f"{_readable(func)} {text}")
        return made


class _DispatchRules(TorchDispatchMode):
    """Sees every operator that is about to run, whatever it was called by."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # the base class would import torch's compiler at the first operator: five seconds

    def __init__(self, rules: HostRules) -> None:
        super().__init__()
        self._rules = rules

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in _FACTORIES:
            like = func(*args, **{**kwargs, "device": "meta", "pin_memory": False} if _takes_device(func) else kwargs)
            value = _FACTORIES[func]
            if value == "value":
                value = args[_FILL_ARGUMENT[func]] if len(args) > _FILL_ARGUMENT[func] else kwargs["fill_value"]
            return self._rules.scratch(like, value)
        if func in _FILLS:
            self._rules.fill(args[0], args[1] if len(args) > 1 else 0)
            return args[0]
        if _is_view(func):
            return func(*args, **kwargs)
        if func is aten._local_scalar_dense.default:
            raise self._rules.refuse_read(self._rules.api_name or ".item()")
        raise self._rules.refuse(_refusal(self._rules.api_name, func))


def refuse_in_language(name: str) -> None:
    """From now on, in this process, a kernel that uses `tl.<name>` is refused."""

    def refused(*args: Any, **kwargs: Any) -> Any:
        raise Refused(f"tl.{name} is not allowed here: it would do the exercise for you.")

    for module in (tl, tl.core, tl.standard, tl.math):
        if hasattr(module, name):
            setattr(module, name, refused)


def _refusal(api_name: str, func: Any) -> str:
    name = api_name or f"torch.ops.{func}"
    if name.removeprefix(".").removesuffix("()") in _COPIES:
        return f"{name} is not allowed here: it copies a tensor outside your kernels; load through the strides instead."
    return f"{name} is not allowed here: the work is to be done by your own kernels."


def _is_view(func: Any) -> bool:
    returns = func._schema.returns
    return bool(returns) and all(item.alias_info is not None and not item.alias_info.is_write for item in returns)


def _takes_device(func: Any) -> bool:
    return any(argument.name == "device" for argument in func._schema.arguments)


def _default_device() -> Any:
    """Where torch makes what nobody gives a place; `torch.get_default_device` would make a tensor to find out."""
    context = getattr(torch._GLOBAL_DEVICE_CONTEXT, "device_context", None)
    return "cpu" if context is None else context.device


def _on_host(device: Any) -> bool:
    return type(device) is not int and torch.device(device).type == "cpu"  # a number is a GPU's


def _on_cpu(value: Any, *, alone: bool = False) -> Any:
    """An argument as it is; a GPU as the CPU. `alone`: it is a device, whatever it is."""
    if isinstance(value, str) and value.startswith("cuda"):
        return "cpu"
    if (isinstance(value, torch.device) and value.type == "cuda") or (alone and type(value) is int):
        return torch.device("cpu")
    return value


def _readable(func: Any) -> str:
    """The name a learner would write: torch.softmax, .max(), .matmul() (@)."""
    name = getattr(func, "__name__", "an operator")
    if name == "__setitem__":
        return "assigning to a part of a tensor"
    dunder = name.startswith("__")
    sign = _SIGNS.get(name.strip("_").removeprefix("r") if dunder else name)
    if dunder and sign:
        return sign
    module = getattr(func, "__module__", None) or ""
    if hasattr(func, "__objclass__") or getattr(func, "__qualname__", "").startswith("Tensor."):
        return f".{name}() ({sign})" if sign else f".{name}()"
    if module.startswith("torch.") and not module.startswith(("torch._", "torch.functional")):
        return f"{module}.{name}"
    return f"torch.{name}"


def own_line() -> int | None:
    """The line of the submission that runs now; None where none does."""
    frame: FrameType | None = sys._getframe()
    while frame is not None and frame.f_code.co_filename != "submission.py":
        frame = frame.f_back
    return frame.f_lineno if frame else None


_ANSWERS = {
    torch.Tensor.device.__get__: DEVICE,
    torch.Tensor.is_cuda.__get__: True,
    torch.Tensor.is_cpu.__get__: False,
    torch.Tensor.get_device: 0,
}
