"""From a notebook: `check("lab05", flash_attention)` hands in what the function is made of, and prints the report.

The file that is handed in is put together from the function and from all that it names and that the notebook defined:
functions, kernels, classes, constants, imports. What cannot be written down so is named in one sentence.
"""

from __future__ import annotations

import inspect
import math
import textwrap
import types
from collections.abc import Callable
from typing import Any

from grader.client import Client
from grader.faults import NotGradable
from grader.report import Report
from grader.terminal import render

WIDTH = 100


def check(lab: str, function: Callable[..., Any], *, server: str = "", prediction: float | None = None) -> Report:
    """A Check of the lab: the visible cases, free. Prints the report and returns it.

    Raises:
        NotGradable: it could not be handed in; one sentence.
    """
    return _graded(lab, function, mode="check", server=server, prediction=prediction)


def submit(lab: str, function: Callable[..., Any], *, server: str = "", prediction: float | None = None) -> Report:
    """A Submit: every case, and it counts. Otherwise as `check`."""
    return _graded(lab, function, mode="submit", server=server, prediction=prediction)


def _graded(lab: str, function: Callable[..., Any], *, mode: str, server: str, prediction: float | None) -> Report:
    client = Client(server)
    attempt = client.submit(lab, source_of(function), mode=mode, prediction=prediction)
    *_, status = client.follow(attempt["id"])
    report = client.report(attempt["id"])
    if report is None:
        raise NotGradable(status["fault"] or f"The attempt is {status['state']}: it has no report.")
    print(render(report, colour=False, width=WIDTH))
    return report


def source_of(function: Callable[..., Any]) -> str:
    """A file that defines the function and everything of the notebook's that it needs.

    Raises:
        NotGradable: something that it names cannot be written down.
    """
    writer = _Writer(_plain(function).__globals__)
    writer.need(function.__name__, function)
    return "\n".join([*sorted(writer.imports), "", *writer.values, "", "", "\n\n\n".join(writer.definitions)]) + "\n"


class _Writer:
    def __init__(self, names: dict[str, Any]) -> None:
        self._names = names
        self._seen: set[str] = set()
        self.imports: set[str] = set()
        self.values: list[str] = []
        self.definitions: list[str] = []

    def need(self, name: str, value: Any) -> None:
        if name in self._seen:
            return
        self._seen.add(name)
        if isinstance(value, types.ModuleType):
            own = value.__name__ == name
            self.imports.add(f"import {name}" if own else f"import {value.__name__} as {name}")
        elif _is_defined_here(value, self._names):
            text = _text(name, value)
            for other in _named_in(text):
                if other in self._names:
                    self.need(other, self._names[other])
            self.definitions.append(text)
        elif (written := _written(value)) is not None:
            self.values.append(f"{name} = {written}")
            if written.startswith("tl."):
                self.imports.add("import triton.language as tl")
        elif getattr(value, "__module__", None) and hasattr(value, "__qualname__") and "." not in value.__qualname__:
            alias = "" if value.__qualname__ == name else f" as {name}"
            self.imports.add(f"from {value.__module__} import {value.__qualname__}{alias}")
        else:
            raise NotGradable(
                f"{name} is a {type(value).__name__}: only functions, classes, modules, numbers, texts and tl.constexpr can be "
                "handed in from a notebook; pass it as an argument, or write a file."
            )


def _plain(value: Any) -> Any:
    """The Python function inside a kernel."""
    while not isinstance(value, types.FunctionType) and hasattr(value, "fn"):
        value = value.fn
    return value


def _is_defined_here(value: Any, names: dict[str, Any]) -> bool:
    plain = _plain(value)
    if isinstance(plain, types.FunctionType):
        return plain.__globals__ is names
    return isinstance(plain, type) and plain.__module__ == names.get("__name__")


def _text(name: str, value: Any) -> str:
    try:
        return textwrap.dedent(inspect.getsource(_plain(value))).rstrip()
    except (OSError, TypeError) as error:
        raise NotGradable(f"The source of {name} is not at hand ({error}); define it in a cell or a file.") from error


def _named_in(text: str) -> list[str]:
    """Every name that the text looks up, decorators and annotations too."""
    import ast

    return sorted({node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)})


def _written(value: Any) -> str | None:
    if value is None or isinstance(value, bool | int | str | bytes):
        return repr(value)
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else f'float("{value}")'
    if isinstance(value, tuple | list):
        parts = [_written(part) for part in value]
        if None in parts:
            return None
        inner = ", ".join(part for part in parts if part is not None)
        return f"[{inner}]" if isinstance(value, list) else f"({inner},)" if len(parts) == 1 else f"({inner})"
    if type(value).__name__ == "constexpr" and hasattr(value, "value"):
        inner_text = _written(value.value)
        return None if inner_text is None else f"tl.constexpr({inner_text})"
    if type(value).__module__ in ("torch", "triton.language", "triton.language.core") and str(value).startswith(
        ("torch.", "tl.")
    ):
        return str(value)
    return None
