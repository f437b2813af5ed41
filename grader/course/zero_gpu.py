"""A Space with ZeroGPU: a GPU is lent there for calls of a few seconds, and torch pretends one in between.

Nothing is graded on it. A grading process needs a GPU that stays, and times on a shared one could not be compared.
"""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Mapping

NOTE = (
    "This Space has ZeroGPU, which lends a GPU for a few seconds at a time: kernels are graded in Triton's interpreter instead "
    "and are not timed; choose a GPU that stays to have them timed."
)


def is_here(environment: Mapping[str, str] = os.environ) -> bool:
    return environment.get("SPACES_ZERO_GPU", "").lower() in ("1", "true", "t")


def note(device: str) -> str:
    """What whoever hands in or runs this must know where that kind of device grades; empty where nothing."""
    return NOTE if device == "cpu" and is_here() else ""


def device() -> str:
    """What grades on this machine: cuda, or cpu where there is no GPU that stays."""
    import torch  # which a process that only looks things up can do without

    return "cuda" if torch.cuda.is_available() and not is_here() else "cpu"


def name_a_borrower() -> None:
    """Name a function that would borrow the GPU, and is never called: a ZeroGPU Space that has none is ended at its start."""
    if is_here():
        with contextlib.suppress(ImportError):
            importlib.import_module("spaces").GPU(_borrower)


def _borrower() -> None:
    """Nothing of ours runs on a lent GPU."""
