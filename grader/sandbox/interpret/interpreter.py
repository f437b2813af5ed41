"""Runs a submission's kernels in this process, on the lent memory, through Triton's interpreter: mended, watched, counted.

Triton must have been imported with TRITON_INTERPRET=1. What differs from stock Triton:
the language is patched once and not at every launch; arguments stay where they are instead of being copied to and fro;
number formats and reductions are mended (`number_formats`, `reductions`); pointers remember their tensor, and every load,
store and atomic goes through an `AddressMap` and an `AccessBook`; of an autotuner's configurations the first is run, or
all of them in turn (`tuning`); programs run in an order of the judge's (`programs`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import inspect
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import triton
import triton.language as tl
from triton.backends.nvidia.compiler import min_dot_size
from triton.runtime import interpreter as stock

from grader.sandbox.case import current_case
from grader.sandbox.case.access_book import AccessBook
from grader.sandbox.case.address_map import AddressMap
from grader.sandbox.case.lent import LITTER, POISON, Memory, region_of, spread_out
from grader.sandbox.case.refusals import HostRules, ScratchFill, own_line, refuse_in_language
from grader.sandbox.case.sight import Sight
from grader.sandbox.case.trace_book import TraceBook
from grader.sandbox.interpret import (
    block_types,
    libdevice,
    line_book,
    number_formats,
    origin_book,
    reductions,
    rewriting,
    watched_memory,
    words,
)
from grader.sandbox.interpret import launches as interpreted_launches
from grader.sandbox.protocol import LentCase


def warm_up() -> None:
    """Do now what the first kernel of a process would wait for: imports, and the rewriting of tl.sum and tl.max.

    For a parent that forks sessions; it lends a kernel of ours two cells and runs it.
    """
    _install()
    with current_case.running(HostRules(AddressMap()), interpreted_launches.Plan(AccessBook(own_line))):
        cells = torch.ones(2, device="cuda")
        _warm_kernel[(1,)](cells, torch.empty_like(cells), 1.0)


@triton.jit
def _warm_kernel(in_ptr, out_ptr, scale):
    offs = tl.arange(0, 2)
    block = tl.load(in_ptr + offs, mask=offs < 2, other=0.0)
    tl.store(out_ptr + offs, tl.exp(block - tl.max(block, 0)) * scale / tl.sum(block, 0), mask=offs < 2)


class ReturnedInsteadOfWritten(Exception):
    """The entry function handed its answer back; it belongs into `out`."""


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
        if self._rules is None:
            return None
        return self._rules.addresses.first_fault or self._rules.first_refusal

    def run(self, entry: Callable[..., Any], case: LentCase) -> dict[str, Any]:
        """Call the entry function on the lent tensors.

        Returns:
            The `done` message; of a case that is watched the `watched` message, however it ends.
        """
        addresses = AddressMap()
        if case.watch_s is None:
            return self._run(entry, case, addresses, None)
        names = [lent.name for lent in case.tensors]
        trace = TraceBook(names, addresses, own_line, time.monotonic() + case.watch_s)
        lines = line_book.LineBook()
        # how it ends is known from the run that was judged
        with contextlib.suppress(BaseException), line_book.telling(lines):
            self._run(entry, case, addresses, trace)
        return {"kind": "watched", "trace": trace.message(), "lines": lines.message()}

    def _run(self, entry: Callable[..., Any], case: LentCase, addresses: AddressMap, trace: TraceBook | None) -> dict[str, Any]:
        memories = {"inputs": Memory.private(self._inputs_fd), "out": Memory.shared(self._out_fd)}
        arguments = dict(case.scalars)
        places = {}
        for lent in case.tensors:
            dtype = getattr(torch, lent.dtype)
            memory = memories[lent.buffer]
            tensor = memory.tensor(offset=lent.offset, shape=lent.shape, strides=lent.strides, dtype=dtype)
            if lent.spread:
                tensor = spread_out(tensor, lent.spread)
            if tensor.numel():
                addresses.add(region_of(lent.name, tensor, writable=lent.buffer == "out"))
            arguments[lent.name] = tensor
            places[lent.name] = lent, tensor.data_ptr(), dtype.itemsize
        book = AccessBook(own_line, Sight(case.sight, places) if case.sight else None, trace)

        def filled(fill: ScratchFill) -> None:
            region = addresses.find(fill.tensor.data_ptr())
            assert region is not None  # the rules let only cells of scratch and `out` be filled
            form = tuple(fill.tensor.shape), tuple(fill.tensor.stride()), fill.tensor.element_size()
            book.filled(region, fill.tensor.data_ptr(), *form)

        self._rules = rules = HostRules(
            addresses,
            scratch_limit_bytes=case.scratch_limit_bytes,
            poison=LITTER if case.litter else POISON,
            on_fill=filled,
        )
        written = [lent.name for lent in case.tensors if lent.buffer == "out"]
        before = [_bits(arguments[name]) for name in written]
        origins = origin_book.OriginBook() if case.origins else None
        with (
            current_case.running(rules, interpreted_launches.Plan(book, case.order, case.in_turn)),
            origin_book.following(origins),
        ):
            returned = entry(**arguments)
        if self.first_fault is not None:
            raise self.first_fault
        handed_back = returned[0] if isinstance(returned, tuple) and returned else returned
        if isinstance(handed_back, torch.Tensor):
            after = [_bits(arguments[name]) for name in written]
            if written and all(map(torch.equal, before, after)):
                raise ReturnedInsteadOfWritten(
                    f"{entry.__name__} returned a tensor and wrote nothing into {', '.join(written)}"
                )
        facts = book.facts(addresses.regions)
        if origins is not None:
            out = [region for region in addresses.regions if region.writable and not region.scratch]
            facts = dataclasses.replace(facts, origins=origins.told(out))
        traffic = addresses.traffic
        return {
            "kind": "done",
            "loaded_bytes": traffic.loaded_bytes,
            "stored_bytes": traffic.stored_bytes,
            "atomic_bytes": traffic.atomic_bytes,
            "masked_bytes": traffic.masked_bytes,
            "scratch_bytes": rules.scratch_bytes,
            "facts": dataclasses.asdict(facts),
        }


def _bits(tensor: torch.Tensor) -> torch.Tensor:
    """A copy of the tensor's cells as bytes, which are equal to themselves even where they are NaN."""
    return tensor.detach().clone().reshape(-1).view(torch.uint8)


@functools.cache
def _install() -> None:
    """Patch Triton's interpreter, once a process."""
    if not triton.knobs.runtime.interpret:
        raise RuntimeError("triton must be imported with TRITON_INTERPRET=1")
    triton.knobs.runtime.interpret = True  # for good: a submission may set the variable
    number_formats.install(stock.InterpreterBuilder)
    reductions.install()
    patch_language_for_good()
    words.install()
    rewriting.install()
    _explain_what_cannot_run()
    watched_memory.install()
    interpreted_launches.install()
    builder = stock.interpreter_builder
    builder.options = dataclasses.replace(builder.options, sanitize_overflow=False)  # three casts for every product
    builder.codegen_fns["min_dot_size"] = min_dot_size(None)


def _explain_what_cannot_run() -> None:
    def create_inline_asm(self: Any, *args: Any) -> Any:
        raise NotImplementedError("inline assembly cannot run on the CPU; write it with Triton's own operations")

    def lacking(self: Any, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)  # Python's own question
        raise NotImplementedError(
            f"this operation cannot run on the CPU: Triton's interpreter has no {name}; write it with operations on whole tiles"
        )

    stock.InterpreterBuilder.create_inline_asm = create_inline_asm
    stock.InterpreterBuilder.__getattr__ = lacking  # what is there is found before it is asked
    libdevice.install()


def patch_language_for_good() -> None:
    """Patch triton.language once, where stock Triton does it and undoes it around every launch. No number is another for it."""
    block_types.install()
    stock._get_np_dtype = _cached_np_dtype(stock._get_np_dtype)
    scope = stock._LangPatchScope()
    for module in (tl, tl.core):
        stock._patch_builtin(module, stock.interpreter_builder, scope)
        stock._patch_lang_core(module, scope)
    stock._patch_builtin(tl.tensor, stock.interpreter_builder, scope)
    stock._patch_builtin(tl.math, stock.interpreter_builder, scope)
    stock._patch_builtin(tl.core.tensor_descriptor_base, stock.interpreter_builder, scope)
    stock._patch_lang_tensor(tl.tensor, scope)
    for name, member in inspect.getmembers(tl.tensor, inspect.isfunction):  # x.exp() and the like, which a GPU takes
        if "_semantic" in inspect.signature(member).parameters and not tl.core.is_builtin(member):
            stock._patch_attr(tl.tensor, name, member, stock.interpreter_builder, scope)
    # numpy from 2.4 on turns only arrays without axes into numbers, and the interpreter's scalars have one axis
    tl.tensor.__index__ = _one_number
    stock._patch_lang = lambda fn: stock._LangPatchScope()


def _one_number(tensor: tl.tensor) -> int:
    """What math.exp(x), range(x) and a[x] ask of a tensor; of a tile a compiler has none to give."""
    data = np.asarray(tensor.handle.data).reshape(-1)
    if data.size != 1 or tensor.type.is_block():
        raise TypeError("a tile of several numbers stands where Python's own functions want one")
    return int(data[0])


def _cached_np_dtype(get: Callable[[Any], np.dtype]) -> Callable[[Any], np.dtype]:
    """The stock function builds a table of all types at each call."""
    known = {dtype.name: get(dtype) for dtype in map(tl.dtype, tl.dtype.SINT_TYPES + tl.dtype.UINT_TYPES + tl.dtype.FP_TYPES)}
    pointer = np.dtype(np.uint64)

    def np_dtype(dtype: Any) -> np.dtype:
        scalar = dtype.scalar
        return pointer if isinstance(scalar, tl.pointer_type) else known[scalar.name]

    return np_dtype
