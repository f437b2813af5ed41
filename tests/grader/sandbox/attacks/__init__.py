"""Programs that try to break out of a session. Each is one function, registered under its name, and judged alone.

An attack gets a `Bait` and returns something true if it got what it wanted; an exception or nothing means that it was stopped.
What only the outside can see (did it end, is anything left) is said by `ends`. Imported in the session before the walls stand.
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
    """`through_without`: walls without which it gets through from a recorder. `ends`: reasons, by one of which it ends."""

    name: str
    run: Callable[[Bait], Any]
    kinds: tuple[str, ...]
    through_without: tuple[str, ...]
    ends: tuple[str, ...]
    limits: dict[str, float]
    group: str
    varies: bool

    @property
    def tells_walls_apart(self) -> bool:
        """Whether running it with a wall left out says something, and the same on every machine."""
        return RECORD in self.kinds and self.group not in ("resources", "forgery", "doors") and not self.varies


ATTACKS: dict[str, Attack] = {}


def attack(
    *,
    kinds: tuple[str, ...] = (INTERPRET, RECORD),
    through_without: tuple[str, ...] = (),
    ends: tuple[str, ...] = PROMPT,
    varies: bool = False,
    **limits: float,
) -> Callable:
    """Register a function under its name.

    Args:
        varies: what it could do without walls depends on the machine, so that is not tested.
    """

    def register(function: Callable[[Bait], Any]) -> Callable[[Bait], Any]:
        name, group = function.__name__, function.__module__.rpartition(".")[2]
        ATTACKS[name] = Attack(name, function, kinds, through_without, ends, limits, group, varies)
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
    from attacks import doors, execution, files, forgery, kernel, network, processes, resources, signalling  # noqa: F401

    return ATTACKS
