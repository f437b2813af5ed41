"""Operators that a submission makes with `torch.library`, and what it hands to `torch.compile`: plain functions here.

A launcher is often wrapped so that PyTorch's compiler can see it. Nothing is compiled here, so an operator is the function
that it wraps: what it does is under the same rules as everything else, and PyTorch's machinery, which takes seconds to import
and asks for the user's name, is not touched.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch


class Operator:
    """A function under the name `namespace::name`. What would tell PyTorch's compiler about it is taken and ignored."""

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        self.__name__ = name.partition("::")[2]
        self.__doc__ = function.__doc__
        self.__wrapped__ = function  # what inspect.signature reads
        self._function = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._function(*args, **kwargs)

    @property
    def default(self) -> Operator:
        """Its one overload."""
        return self

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_") or not name.startswith(("register_", "set_")):
            raise AttributeError(name)
        return _ignored


class Library:
    """As torch.library.Library: operators are declared by a schema and given a function by `impl`."""

    def __init__(self, namespace: str, kind: str = "DEF", dispatch_key: str = "") -> None:
        self.ns, self.kind = namespace, kind

    def define(self, schema: str, *args: Any, **kwargs: Any) -> str:
        return schema.partition("(")[0]

    def impl(self, name: Any, function: Callable[..., Any], dispatch_key: str = "", **kwargs: Any) -> None:
        name = str(name).partition("::")[2] or str(name)
        if dispatch_key not in ("Meta", "Autograd", "AutogradCUDA"):
            _publish(f"{self.ns}::{name}", Operator(f"{self.ns}::{name}", function))


def custom_op(name: str, function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """As torch.library.custom_op and triton_op: the function, under its name."""

    def made(function: Callable[..., Any]) -> Operator:
        operator = Operator(name, function)
        _publish(name, operator)
        return operator

    return made if function is None else made(function)


def impl(where: str | Library, types_or_name: Any, function_or_key: Any = None, **options: Any) -> Any:
    """As torch.library.impl: ("namespace::name", types, function), or (library, "name", dispatch key) as a decorator."""
    function = None if isinstance(function_or_key, str) else function_or_key

    def made(function: Callable[..., Any]) -> Callable[..., Any]:
        if isinstance(where, Library):
            where.impl(types_or_name, function, function_or_key or "")
        else:
            custom_op(where, function)
        return function

    return made if function is None else made(function)


def install() -> None:
    """From now on, in this process, before any submission is near."""
    library = torch.library
    library.custom_op = library.triton_op = custom_op
    library.wrap_triton = _itself
    library.Library = Library
    library.impl = impl
    library.define = _ignored
    for name in ("register_fake", "register_autograd", "register_kernel", "register_vmap", "impl_abstract"):
        setattr(library, name, _ignored)
    torch.compile = torch.compiler.disable = torch.compiler.allow_in_graph = _not_compiled


def _publish(name: str, operator: Operator) -> None:
    """`torch.ops.<namespace>.<name>`."""
    namespace, _, own = name.partition("::")
    setattr(getattr(torch.ops, namespace), own, operator)


def _itself(function: Callable[..., Any]) -> Callable[..., Any]:
    return function


def _ignored(*args: Any, **kwargs: Any) -> Callable[..., Any]:
    """A decorator with arguments, or a call that ends with the function: the function stays as it is."""
    return args[-1] if args and callable(args[-1]) and not isinstance(args[-1], Operator) else _itself


def _not_compiled(function: Callable[..., Any] | None = None, *args: Any, **options: Any) -> Any:
    """As torch.compile, before it is called the first time: the function."""
    return _itself if function is None else function
