"""What binds a kernel, in one sentence that says no more than the GPU's counters do."""

from __future__ import annotations

from grader.judge.gpu.counters import REASONS
from grader.report import Counters

# The share of the time from which on a unit binds. A plain copy keeps an H200's memory busy 78% of the time, FlashAttention-3
# its tensor cores 88%; instructions are never issued in every cycle, since they wait for one another's results.
_BINDS = {"memory": 0.7, "tensor": 0.75, "issue": 0.65, "alu": 0.65, "fma": 0.65, "special": 0.65}
_OCCUPIED = 0.5  # of the multiprocessors' time: below it, that they have no program is said first
_BUSY = {
    "memory": "memory is busy {} of the time",
    "tensor": "the tensor cores are busy {} of the time",
    "issue": "instructions are issued in {} of the cycles",
    "alu": "the pipe of integers and comparisons is busy {} of the time",
    "fma": "the pipe of multiplications and additions is busy {} of the time",
    "special": "the pipe of exponentials and conversions is busy {} of the time",
}
_LOADS = REASONS["long_scoreboard"]


def what_binds(counters: Counters) -> str:
    """The units that bind; where none does, the busiest and what warps wait for; first of all, that there is no program."""
    shares = {name: getattr(counters, name) for name in _BINDS}
    binding = [name for name in shares if shares[name] >= _BINDS[name]]
    if binding:
        said = " and ".join(_BUSY[name].format(_percent(shares[name])) for name in binding)
        return _capital(f"{said}: {'this binds' if len(binding) == 1 else 'these bind'}.")
    if counters.occupied < _OCCUPIED:
        return (
            f"The multiprocessors have a program for {_percent(counters.occupied)} of the time: more programs would fill them."
        )
    busiest = max(shares, key=lambda name: shares[name])
    said = f"No unit binds: {_BUSY[busiest].format(_percent(shares[busiest]))}, all else less"
    if not counters.stalls:
        return f"{said}."
    largest = counters.stalls[0]
    flight = ": more bytes in flight would help" if largest.reason == _LOADS else ""
    return f"{said}; {_percent(largest.share)} of the warps' waiting is for {largest.reason}{flight}."


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _percent(share: float) -> str:
    return f"{share:.0%}"
