"""Every load, store and atomic of an interpreted kernel passes the case's `AddressMap`; pointers remember their tensor."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from triton.runtime import interpreter as stock

from grader.sandbox.case import current_case

REGION = "region"  # the attribute of a handle under which its tensor is remembered

_Handle = stock.TensorHandle
_Builder = stock.InterpreterBuilder


def install() -> None:
    """Patch the interpreter. Every way to memory ends in one of these four; block pointers and descriptors too."""
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
    current_case.addresses().access(kind, np.asarray(pointers.data), lanes, itemsize, pointers.attr.get(REGION))


def _remember_region(name: str) -> None:
    make = getattr(_Builder, name)

    def remembering(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = make(self, *args, **kwargs)
        for argument in args:
            region = argument.attr.get(REGION) if isinstance(argument, _Handle) else None
            if region is not None:
                result.attr[REGION] = region
        return result

    setattr(_Builder, name, remembering)


def _remember_base(handle: type) -> None:
    make = handle.materialize_pointers

    def materialize_pointers(self: Any, *args: Any) -> Any:
        pointers, masks = make(self, *args)
        region = self.base.attr.get(REGION)
        if region is not None:
            blocked = handle is stock.BlockPointerHandle
            pointers.attr[REGION] = dataclasses.replace(region, by_block_pointer=True) if blocked else region
        return pointers, masks

    handle.materialize_pointers = materialize_pointers
