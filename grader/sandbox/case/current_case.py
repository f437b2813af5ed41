"""The case that runs now. Triton's patched parts are module-wide and find its rules, and what becomes of its launches, here.

One process runs one case at a time, in one thread; outside the entry function there is no case, and no kernel can be launched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType
from typing import Any, TypeVar

from grader.sandbox.case.address_map import AddressMap
from grader.sandbox.case.refusals import HostRules, Refused

_Function = TypeVar("_Function", bound=Callable[..., Any])

kernel_code: set[CodeType] = set()  # of the functions below whose frames a kernel of the submission runs

_rules: HostRules | None = None
_plan: Any = None


@contextmanager
def running(rules: HostRules, plan: Any) -> Iterator[None]:
    """For as long as the entry function runs: its host rules in force, and what becomes of its launches.

    Args:
        plan: a `LaunchBook` where launches are written down, a `Plan` where they are made.
    """
    global _rules, _plan
    _rules, _plan = rules, plan
    try:
        with rules.in_force():
            yield
    finally:
        _rules = _plan = None


def rules() -> HostRules:
    """The rules of the case.

    Raises:
        Refused: there is no case; the submission is still being imported.
    """
    if _rules is None:
        raise Refused("a kernel was launched while the file was imported; launch it in the entry function.")
    return _rules


def addresses() -> AddressMap:
    """The tensors of the case, by address."""
    return rules().addresses


def plan() -> Any:
    """What becomes of the case's launches; see `running`. Same contract as `rules`."""
    rules()
    return _plan


def is_there() -> bool:
    """Whether a case runs."""
    return _rules is not None


def runs_kernels(function: _Function) -> _Function:
    """A decorator: what is raised below a call of `function` was raised by a kernel."""
    kernel_code.add(function.__code__)
    return function
