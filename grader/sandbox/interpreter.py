"""Runs a submission's kernels in this process, on the lent memory, through Triton's interpreter: mended, watched, counted.

Triton must have been imported with TRITON_INTERPRET=1. What differs from stock Triton:
the language is patched once and not at every launch; arguments stay where they are instead of being copied to and fro;
number formats and reductions are mended (`number_formats`, `reductions`); pointers remember their tensor, and every load,
store and atomic goes through an `AddressMap`; of an autotuner's configurations the first is run.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import triton
import triton.language as tl
from triton.backends.nvidia.compiler import CUDAOptions, min_dot_size
from triton.runtime import interpreter as stock
from triton.runtime.autotuner import Autotuner

from grader.sandbox import number_formats, reductions
from grader.sandbox.address_map import AddressMap, Region
from grader.sandbox.lent import Memory, region_of
from grader.sandbox.protocol import LentTensor
from grader.sandbox.refusals import HostRules, refuse_in_language

GRID_LIMITS = (2**31 - 1, 65535, 65535)  # CUDA C++ Programming Guide, "Technical Specifications": maximum grid size
_OPTIONS = frozenset(CUDAOptions.__dataclass_fields__)  # what a launch may say besides the kernel's own arguments
_REGION = "region"  # the attribute of a handle under which its tensor is remembered

_Handle = stock.TensorHandle
_Builder = stock.InterpreterBuilder


def warm_up() -> None:
    """Do now what the first kernel of a process would wait for: imports, and the rewriting of tl.sum and tl.max.

    For a parent that forks workers; it lends a kernel of ours two cells and runs it.
    """
    _install()
    addresses = AddressMap()
    _current.rules = HostRules(addresses)
    with _current.rules.in_force():
        cells = torch.ones(2)
        _warm_kernel[(1,)](cells, torch.empty_like(cells), 1.0)


@triton.jit
def _warm_kernel(in_ptr, out_ptr, scale):
    offs = tl.arange(0, 2)
    block = tl.load(in_ptr + offs, mask=offs < 2, other=0.0)
    tl.store(out_ptr + offs, tl.exp(block - tl.max(block, 0)) * scale / tl.sum(block, 0), mask=offs < 2)


class InterpretedRun:
    """Cases on lent memory. One case at a time; the maps are new for each.

    Args:
        inputs_fd: the lent inputs; a case sees a private copy, so that a store cannot reach them.
        out_fd: the lent `out`.
        forbidden: names of triton.language that are refused when a kernel calls them.
    """

    def __init__(self, *, inputs_fd: int | None, out_fd: int | None, forbidden: tuple[str, ...]) -> None:
        if inputs_fd is None or out_fd is None:
            raise ValueError("interpreting needs the lent memory: inputs_fd and out_fd")
        self._inputs_fd, self._out_fd = inputs_fd, out_fd
        self._rules: HostRules | None = None
        _install()
        for name in forbidden:
            refuse_in_language(name)

    @property
    def first_fault(self) -> Exception | None:
        """What went wrong first in the current case, even where the submission caught it."""
        return self._rules and (self._rules.addresses.first_fault or self._rules.first_refusal)

    def run(
        self, entry: Callable[..., Any], tensors: list[LentTensor], scalars: dict[str, Any], scratch_limit_bytes: int | None
    ) -> dict[str, Any]:
        """Call the entry function on the lent tensors.

        Returns:
            The `done` message.
        """
        addresses = AddressMap()
        self._rules = rules = HostRules(addresses, scratch_limit_bytes=scratch_limit_bytes)
        memories = {"inputs": Memory.private(self._inputs_fd), "out": Memory.shared(self._out_fd)}
        arguments = dict(scalars)
        for lent in tensors:
            dtype = getattr(torch, lent.dtype)
            memory = memories[lent.buffer]
            tensor = memory.tensor(offset=lent.offset, shape=lent.shape, strides=lent.strides, dtype=dtype)
            if tensor.numel():
                addresses.add(region_of(lent.name, tensor, writable=lent.buffer == "out"))
            arguments[lent.name] = tensor
        _current.rules = rules
        with rules.in_force():
            entry(**arguments)
        if self.first_fault is not None:
            raise self.first_fault
        traffic = addresses.traffic
        return {
            "kind": "done",
            "loaded_bytes": traffic.loaded_bytes,
            "stored_bytes": traffic.stored_bytes,
            "atomic_bytes": traffic.atomic_bytes,
            "masked_bytes": traffic.masked_bytes,
            "scratch_bytes": rules.scratch_bytes,
        }


class _Current:
    """The rules of the case that runs; the interpreter's patched parts look here."""

    rules: HostRules
    in_kernel = False

    @property
    def addresses(self) -> AddressMap:
        return self.rules.addresses


_current = _Current()


@functools.cache
def _install() -> None:
    """Patch Triton's interpreter, once a process."""
    if not triton.knobs.runtime.interpret:
        raise RuntimeError("triton must be imported with TRITON_INTERPRET=1")
    number_formats.install(_Builder)
    reductions.install()
    _patch_language_for_good()
    _watch_memory()
    builder = stock.interpreter_builder
    builder.options = dataclasses.replace(builder.options, sanitize_overflow=False)  # three casts for every product
    builder.codegen_fns["min_dot_size"] = min_dot_size(None)
    stock._get_np_dtype = _cached_np_dtype(stock._get_np_dtype)
    stock.InterpretedFunction.run = _launch
    stock.InterpretedFunction.__call__ = _call_device_function
    Autotuner.run = _run_first_configuration


def _patch_language_for_good() -> None:
    scope = stock._LangPatchScope()
    for module in (tl, tl.core):
        stock._patch_builtin(module, stock.interpreter_builder, scope)
        stock._patch_lang_core(module, scope)
    stock._patch_builtin(tl.tensor, stock.interpreter_builder, scope)
    stock._patch_builtin(tl.math, stock.interpreter_builder, scope)
    stock._patch_builtin(tl.core.tensor_descriptor_base, stock.interpreter_builder, scope)
    stock._patch_lang_tensor(tl.tensor, scope)
    # numpy from 2.4 on turns only arrays without axes into numbers, and the interpreter's scalars have one axis
    tl.tensor.__index__ = lambda self: int(np.asarray(self.handle.data).reshape(-1)[0])
    stock._patch_lang = lambda fn: stock._LangPatchScope()


def _cached_np_dtype(get: Callable[[Any], np.dtype]) -> Callable[[Any], np.dtype]:
    """The stock function builds a table of all types at each call."""
    known = {dtype: get(dtype) for dtype in map(tl.dtype, tl.dtype.SINT_TYPES + tl.dtype.UINT_TYPES + tl.dtype.FP_TYPES)}
    pointer = np.dtype(np.uint64)

    def np_dtype(dtype: Any) -> np.dtype:
        scalar = dtype.scalar
        return pointer if isinstance(scalar, tl.pointer_type) else known[scalar]

    return np_dtype


# Launching


def _launch(self: Any, *args: Any, grid: Any, warmup: bool, **kwargs: Any) -> None:
    """Instead of InterpretedFunction.run: every program of the grid, one after the other."""
    if warmup:
        return
    parameters = inspect.signature(self.fn)
    options = set(kwargs) - set(parameters.parameters)
    for name in options - _OPTIONS:
        raise KeyError(f"Keyword argument {name} was specified but unrecognised")
    bound = parameters.bind(*args, **{key: value for key, value in kwargs.items() if key not in options})
    bound.apply_defaults()
    arguments = bound.arguments
    for hook in self.pre_run_hooks:
        hook(*args, **kwargs)
    dimensions = _grid(grid(arguments) if callable(grid) else grid)
    constexprs = stock.GridExecutor(self.fn, self.arg_names, grid).constexprs
    values = {name: value if name in constexprs else _argument(name, value) for name, value in arguments.items()}
    run_programs(self.rewrite(), values, dimensions)


def run_programs(function: Callable[..., Any], values: dict[str, Any], dimensions: tuple[int, int, int]) -> None:
    """The kernel's body for each program; what is raised below this frame was raised by a kernel."""
    builder = stock.interpreter_builder
    builder.set_grid_dim(*dimensions)
    _current.in_kernel = True
    try:
        for builder.grid_idx in itertools.product(*map(range, dimensions)):
            function(**values)
    finally:
        _current.in_kernel = False


def _call_device_function(self: Any, *args: Any, **kwargs: Any) -> Any:
    """Instead of InterpretedFunction.__call__: one kernel's function calls another."""
    if not _current.in_kernel:
        raise RuntimeError("Cannot call @triton.jit'd outside of the scope of a kernel")
    return self.rewrite()(*args, **kwargs)


def _grid(grid: Any) -> tuple[int, int, int]:
    grid = tuple(int(size) for size in (grid if isinstance(grid, (tuple, list)) else (grid,)))
    if not 1 <= len(grid) <= 3:
        raise ValueError(f"grid={grid} must have one to three numbers")
    if any(size < 0 or size > limit for size, limit in zip(grid, GRID_LIMITS, strict=False)):
        raise ValueError(f"grid={grid} is not possible on a GPU: the most is {GRID_LIMITS}")
    return grid + (1,) * (3 - len(grid))


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
        converted.handle.attr[_REGION] = _region(name, value)
    elif isinstance(value, stock.TensorDescriptor):
        converted.handle.base.attr[_REGION] = _region(name, value.base)
    return converted


def _region(name: str, tensor: Any) -> Region:
    address = tensor.data_ptr()
    if address == 0:
        return Region(name, 0, 0, writable=True)
    region = _current.addresses.find(address)
    if region is None:
        raise _current.rules.refuse(f"{name} is a tensor that the entry function neither got nor made in this call.")
    return region


def _run_first_configuration(self: Autotuner, *args: Any, **kwargs: Any) -> Any:
    """Instead of Autotuner.run: nothing here can be timed, so the first configuration that is left after pruning runs."""
    self.nargs = dict(zip(self.arg_names, args, strict=False))
    config = self.prune_configs(kwargs)[0] if len(self.configs) > 1 else self.configs[0]
    full = {**self.nargs, **kwargs, **config.all_kwargs()}
    self.pre_hook(full, reset_only=True)
    if config.pre_hook is not None:
        config.pre_hook(full)
    self.best_config = config
    result = self.fn.run(*args, **kwargs, **config.all_kwargs())
    self.nargs = None
    return result


# Memory


def _watch_memory() -> None:
    """Every way to memory ends in one of these four; block pointers and descriptors too."""
    load, store = _Builder.create_masked_load, _Builder.create_masked_store
    rmw, cas = _Builder.create_atomic_rmw, _Builder.create_atomic_cas

    def create_masked_load(self: Any, ptrs: Any, mask: Any, other: Any, *args: Any, **kwargs: Any) -> Any:
        _access("load", ptrs, mask)
        return load(self, ptrs, mask, other, *args, **kwargs)

    def create_masked_store(self: Any, ptrs: Any, value: Any, mask: Any, *args: Any, **kwargs: Any) -> Any:
        _access("store", ptrs, mask)
        return store(self, ptrs, value, mask, *args, **kwargs)

    def create_atomic_rmw(self: Any, op: Any, ptr: Any, val: Any, mask: Any, *args: Any) -> Any:
        _access("atomic", ptr, mask)
        return rmw(self, op, ptr, val, mask, *args)

    def create_atomic_cas(self: Any, ptr: Any, *args: Any) -> Any:
        _access("atomic", ptr, None)
        return cas(self, ptr, *args)

    _Builder.create_masked_load = create_masked_load
    _Builder.create_masked_store = create_masked_store
    _Builder.create_atomic_rmw = create_atomic_rmw
    _Builder.create_atomic_cas = create_atomic_cas
    for name in ("addptr", "splat", "broadcast", "expand_dims", "reshape", "trans", "bitcast", "unsplat"):
        _remember_region(f"create_{name}")
    for handle in (stock.BlockPointerHandle, stock.TensorDescHandle):
        _remember_base(handle)


def _access(kind: str, pointers: Any, mask: Any) -> None:
    itemsize = max(1, pointers.get_element_ty().primitive_bitwidth // 8)
    lanes = None if mask is None else np.asarray(getattr(mask, "data", mask))
    _current.addresses.access(kind, np.asarray(pointers.data), lanes, itemsize, pointers.attr.get(_REGION))


def _remember_region(name: str) -> None:
    make = getattr(_Builder, name)

    def remembering(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = make(self, *args, **kwargs)
        for argument in args:
            region = argument.attr.get(_REGION) if isinstance(argument, _Handle) else None
            if region is not None:
                result.attr[_REGION] = region
        return result

    setattr(_Builder, name, remembering)


def _remember_base(handle: type) -> None:
    make = handle.materialize_pointers

    def materialize_pointers(self: Any, *args: Any) -> Any:
        pointers, masks = make(self, *args)
        region = self.base.attr.get(_REGION)
        if region is not None:
            pointers.attr[_REGION] = region
        return pointers, masks

    handle.materialize_pointers = materialize_pointers
