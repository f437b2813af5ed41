"""Many mutants tried, several at a time, each process with a sandbox of its own; results come as they are found."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import time
from collections.abc import Callable, Sequence

from grader.sandbox.process.door import Sandbox, harden_this_process
from labs.mutants.mutant import Mutant
from labs.mutants.trial import Tried, tried

_sandbox: Sandbox | None = None


def sweep(
    mutants: Sequence[Mutant], *, processes: int, budget_s: float, told: bool, say: Callable[[Tried], None]
) -> list[Tried]:
    """What came of each that was tried before the budget was spent, in the order in which they ended.

    told: whether what a learner would be told is asked for, too.
    """
    until = time.time() + budget_s
    results: list[Tried] = []
    spawning = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(processes, spawning, initializer=_begin) as pool:
        waiting = {pool.submit(_try, mutant, until, told) for mutant in mutants}
        for future in concurrent.futures.as_completed(waiting):
            found = future.result()
            if found is not None:
                results.append(found)
                say(found)
    return results


def _begin() -> None:
    """In a process of the pool: torch on one thread, a sandbox that lives as long as the process."""
    global _sandbox
    import torch

    torch.set_num_threads(1)
    harden_this_process()
    _sandbox = Sandbox()


def _try(mutant: Mutant, until: float, told: bool) -> Tried | None:
    """None once it is too late."""
    if time.time() > until:
        return None
    assert _sandbox is not None  # `_begin` made it
    return tried(_sandbox, mutant, told=told)
