"""Programs that try to break out of a worker. Each is one function, registered under its name, and judged alone.

An attack gets a `Bait` and returns something true if it got what it wanted; an exception or nothing means that it was stopped.
What only the outside can see (did it end, is anything left) is said by `ends`. Imported in the worker before the walls stand.
"""

from __future__ import annotations

import ctypes
import dataclasses
import os
from collections.abc import Callable
from typing import Any

INTERPRET, RECORD = "interpret", "record"

LIBC = ctypes.CDLL(None, use_errno=True)
PROMPT = ("exited", "stopped")  # it ended, or went on quietly until it was stopped


@dataclasses.dataclass(frozen=True)
class Bait:
    """What lies outside the walls, open to anybody without them."""

    folder: str  # world-writable; hidden.json, victim, and two sockets lie in it
    judge: int  # the supervisor's process
    port: int  # a TCP and a UDP service on localhost
    abstract: str  # name of an abstract unix socket
    application: str
    reply_fd: int = 4
    inputs_fd: int | None = None
    out_fd: int | None = None

    @property
    def outsiders(self) -> tuple[int, int]:
        """The warden and the judge."""
        return os.getppid(), self.judge


@dataclasses.dataclass(frozen=True)
class Attack:
    """`through_without`: the walls without which it gets through ("landlock", or "landlock/record" for one kind alone).

    `ends`: the reasons, of which it must end by one.
    """

    name: str
    run: Callable[[Bait], Any]
    kinds: tuple[str, ...]
    through_without: tuple[str, ...]
    ends: tuple[str, ...]
    limits: dict[str, float]
    heavy: bool
    group: str
    varies: bool

    def gets_through_without(self, wall: str, kind: str) -> bool:
        return wall in self.through_without or f"{wall}/{kind}" in self.through_without


ATTACKS: dict[str, Attack] = {}


def attack(
    *,
    kinds: tuple[str, ...] = (INTERPRET, RECORD),
    through_without: tuple[str, ...] = (),
    ends: tuple[str, ...] = PROMPT,
    heavy: bool = False,
    varies: bool = False,
    **limits: float,
) -> Callable:
    """Register a function under its name.

    Args:
        heavy: could harm the machine, so it is never run with a wall left out.
        varies: what it could do without walls depends on the machine, so that is not tested.
    """

    def register(function: Callable[[Bait], Any]) -> Callable[[Bait], Any]:
        name, group = function.__name__, function.__module__.rpartition(".")[2]
        ATTACKS[name] = Attack(name, function, kinds, through_without, ends, limits, heavy, group, varies)
        return function

    return register


def syscall(number: int, *arguments: Any) -> int:
    """The kernel's answer: at least 0, or minus an errno."""
    result = LIBC.syscall(number, *arguments)
    return result if result >= 0 else -ctypes.get_errno()


def any_of(*tries: Callable[[], Any]) -> list[Any]:
    """What came of those that raised nothing."""
    loot = []
    for each in tries:
        try:
            loot.append(each() or True)
        except OSError:
            continue
    return loot


def load_all() -> dict[str, Attack]:
    """Every attack, by name."""
    from attacks import execution, files, forgery, kernel, network, processes, resources  # noqa: F401

    return ATTACKS
