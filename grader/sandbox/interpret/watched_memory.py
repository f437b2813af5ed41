"""Every load, store and atomic of an interpreted kernel passes the case's `AddressMap` and book; pointers know their tensor."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import triton.language as tl
from triton._C.libtriton.ir import CACHE_MODIFIER, MEM_SEMANTIC, MEM_SYNC_SCOPE
from triton.runtime import interpreter as stock

from grader.sandbox.case import current_case
from grader.sandbox.case.address_map import Access, AccessFault
from grader.sandbox.interpret import programs

REGION = "region"  # the attribute of a handle under which its tensor is remembered
UNMASKED = "unmasked"  # the attribute of a mask that no kernel gave

_ORDERS = {
    MEM_SEMANTIC.RELAXED: "relaxed",
    MEM_SEMANTIC.ACQUIRE: "acquire",
    MEM_SEMANTIC.RELEASE: "release",
    MEM_SEMANTIC.ACQUIRE_RELEASE: "acq_rel",
}
_SCOPES = {MEM_SYNC_SCOPE.CTA: "cta", MEM_SYNC_SCOPE.GPU: "gpu", MEM_SYNC_SCOPE.SYSTEM: "sys"}

_Handle = stock.TensorHandle
_Builder = stock.InterpreterBuilder


def install() -> None:
    """Patch the interpreter. Every way to memory ends in one of these four; block pointers and descriptors too."""
    load, store = _Builder.create_masked_load, _Builder.create_masked_store
    rmw, cas, barrier = _Builder.create_atomic_rmw, _Builder.create_atomic_cas, _Builder.create_barrier

    def create_load(self: Any, ptrs: Any, *more: Any) -> Any:
        return create_masked_load(self, ptrs, _no_mask(ptrs), None, *more)

    def create_store(self: Any, ptrs: Any, value: Any, *more: Any) -> Any:
        return create_masked_store(self, ptrs, value, _no_mask(ptrs), *more)

    def create_masked_load(
        self: Any, ptrs: Any, mask: Any, other: Any, cache_modifier: Any, eviction_policy: Any, is_volatile: bool
    ) -> Any:
        access = _access("load", ptrs, mask)
        if access is not None:
            weak = not is_volatile and cache_modifier != CACHE_MODIFIER.CV
            current_case.plan().book.load(access, weak=weak)
        return load(self, ptrs, mask, other, cache_modifier, eviction_policy, is_volatile)

    def create_masked_store(self: Any, ptrs: Any, value: Any, mask: Any, *args: Any, **kwargs: Any) -> Any:
        access = _access("store", ptrs, mask)
        if access is not None:
            current_case.plan().book.store(access)
        return store(self, ptrs, value, mask, *args, **kwargs)

    def create_atomic_rmw(self: Any, op: Any, ptr: Any, val: Any, mask: Any, sem: Any, scope: Any) -> Any:
        access = _access("atomic", ptr, mask)
        if access is not None:
            current_case.plan().book.atomic(access, order=_ORDERS[sem], scope=_SCOPES[scope])
        return rmw(self, op, ptr, val, mask, sem, scope)

    def create_atomic_cas(self: Any, ptr: Any, cmp: Any, val: Any, sem: Any, scope: Any) -> Any:
        access = _access("atomic", ptr, None)
        found = cas(self, ptr, cmp, val, sem, scope)
        swapped = np.asarray(found.data) == np.asarray(cmp.data)
        current_case.plan().book.atomic(access, order=_ORDERS[sem], scope=_SCOPES[scope], done=swapped)
        return found

    def create_barrier(self: Any) -> Any:
        current_case.plan().book.barrier()
        return barrier(self)

    _Builder.create_load = create_load
    _Builder.create_store = create_store
    _Builder.create_masked_load = create_masked_load
    _Builder.create_masked_store = create_masked_store
    _Builder.create_atomic_rmw = create_atomic_rmw
    _Builder.create_atomic_cas = create_atomic_cas
    _Builder.create_barrier = create_barrier
    for name in ("addptr", "splat", "broadcast", "expand_dims", "reshape", "trans", "bitcast", "unsplat"):
        _remember_region(f"create_{name}")
    for handle in (stock.BlockPointerHandle, stock.TensorDescHandle):
        _remember_base(handle)


def _no_mask(pointers: Any) -> Any:
    """The interpreter wants a mask; this one is of nobody's making, and an access is not said to be within it."""
    mask = _Handle(np.ones_like(pointers.data, dtype=bool), tl.int1)
    mask.attr[UNMASKED] = True
    return mask


def _access(kind: str, pointers: Any, mask: Any) -> Access | None:
    itemsize = max(1, pointers.get_element_ty().primitive_bitwidth // 8)
    given = mask is not None and UNMASKED not in getattr(mask, "attr", ())
    lanes = np.asarray(getattr(mask, "data", mask)) if given else None
    block, region, trace = np.asarray(pointers.data), pointers.attr.get(REGION), current_case.plan().book.trace
    if trace is not None:
        trace.access(kind, block, lanes, itemsize, region)
    try:
        access = current_case.addresses().access(kind, block, lanes, itemsize, region)
    except AccessFault:
        if trace is not None:
            trace.mark("fault")
        raise
    if access is not None:
        programs.running().touched(access.low if kind != "store" and access.addresses.size == 1 else None)
    return access


def _remember_region(name: str) -> None:
    make = getattr(_Builder, name)

    def remembering(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = make(self, *args, **kwargs)
        for argument in args:
            region = argument.attr.get(REGION) if type(argument) is _Handle else None
            if region is not None:
                result.attr[REGION] = region
        return result

    setattr(_Builder, name, remembering)


def _remember_base(handle: Any) -> None:
    make = handle.materialize_pointers

    def materialize_pointers(self: Any, *args: Any) -> Any:
        pointers, masks = make(self, *args)
        region = self.base.attr.get(REGION)
        if region is not None:
            blocked = handle is stock.BlockPointerHandle
            pointers.attr[REGION] = dataclasses.replace(region, by_block_pointer=True) if blocked else region
        return pointers, masks

    handle.materialize_pointers = materialize_pointers
