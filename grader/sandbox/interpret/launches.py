"""Launches of interpreted kernels: every program of the grid in turn, with arguments as a GPU would get them, in place."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from typing import Any

import numpy as np
import triton.language as tl
from triton.backends.nvidia.compiler import CUDAOptions
from triton.runtime import interpreter as stock
from triton.runtime.autotuner import Autotuner

from grader.sandbox.case import current_case
from grader.sandbox.case.access_book import AccessBook
from grader.sandbox.case.address_map import Region
from grader.sandbox.interpret import programs, tuning, watched_memory
from grader.sandbox.interpret.warmed import WarmedKernel
from grader.sandbox.record.gpus import launched

_OPTIONS = frozenset(CUDAOptions.__dataclass_fields__)  # what a launch may say besides the kernel's own arguments

_Handle = stock.TensorHandle


@dataclasses.dataclass(frozen=True)
class Plan:
    """How a case is run. `order`: in which order programs run, None for the grid's own. `in_turn`: every configuration of an
    autotuner runs on the same buffers, as when it times them.
    """

    book: AccessBook
    order: int | None = None
    in_turn: bool = False


def install() -> None:
    """Patch the interpreter's launches."""
    stock.InterpretedFunction.run = _launch
    stock.InterpretedFunction.__call__ = _call_device_function
    Autotuner.run = tuning.run


def _launch(self: Any, *args: Any, grid: Any, warmup: bool, **kwargs: Any) -> WarmedKernel | None:
    """Instead of InterpretedFunction.run: every program of the grid, one after the other."""
    parameters = _signature(self.fn)
    options = set(kwargs) - set(parameters.parameters)
    if warmup:
        return WarmedKernel(self, {name: kwargs[name] for name in options & _OPTIONS})
    current_case.rules()
    for name in options - _OPTIONS:
        raise KeyError(f"Keyword argument {name} was specified but unrecognised")
    bound = parameters.bind(*args, **{key: value for key, value in kwargs.items() if key not in options})
    bound.apply_defaults()
    arguments = bound.arguments
    for hook in self.pre_run_hooks:
        hook(*args, **kwargs)
    dimensions = launched(grid(arguments) if callable(grid) else grid)
    constexprs = _constexprs(self.fn, tuple(self.arg_names))
    values = {name: value if name in constexprs else _argument(name, value) for name, value in arguments.items()}
    if 0 in dimensions:
        return None
    plan = current_case.plan()
    body = self.rewrite()
    if inspect.isgeneratorfunction(body):
        raise TypeError("unsupported AST node type: Yield")  # as the compiler says: its call runs no line of it
    programs.run_programs(programs.Programs(body, values, dimensions, plan.book, plan.order))
    return None


_signature = functools.cache(inspect.signature)


@functools.cache
def _constexprs(fn: Any, names: tuple[str, ...]) -> frozenset[str]:
    """Names of arguments that are no tensors where the kernel is compiled."""
    return frozenset(stock.GridExecutor(fn, list(names), ()).constexprs)


def _call_device_function(self: Any, *args: Any, **kwargs: Any) -> Any:
    """Instead of InterpretedFunction.__call__: one kernel's function calls another."""
    if not programs.is_running():
        raise RuntimeError("Cannot call @triton.jit'd outside of the scope of a kernel")
    return self.rewrite()(*args, **kwargs)


def _argument(name: str, value: Any) -> Any:
    """A kernel's argument as the interpreter wants it: numbers in the GPU's types, pointers with their tensor."""
    if isinstance(value, bool):
        return tl.tensor(_Handle(np.array([value]), tl.int1), tl.int1)
    if isinstance(value, float):
        return tl.tensor(_Handle(np.array([value], dtype=np.float32), tl.float32), tl.float32)
    if isinstance(value, tuple):
        items = [_argument(name, item) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    converted = stock._implicit_cvt(value)
    if hasattr(value, "data_ptr"):
        converted.handle.attr[watched_memory.REGION] = _region(name, value)
    elif isinstance(value, stock.TensorDescriptor):
        converted.handle.base.attr[watched_memory.REGION] = _region(name, value.base)
    return converted


def _region(name: str, tensor: Any) -> Region:
    address = tensor.data_ptr()
    if address == 0:
        return Region(name, 0, 0, writable=True)
    region = current_case.addresses().find(address)
    if region is None:
        raise current_case.rules().refuse(f"{name} is a tensor that the entry function neither got nor made in this call.")
    return region
