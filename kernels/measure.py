"""The time of a call on a GPU: median and spread of many, each on a cold L2 cache, and several functions side by side.

Functions that are compared take turns, so that clocks and temperature are the same for all. Before each call a large buffer
is read several times: that empties the L2 cache, and keeps the GPU busy while the host prepares the call, so no host time is
counted. It is read, as the judge does, and not overwritten: what was written and is still in the cache must go to memory while
the timed kernel reads, and the kernel pays for up to 60 MB that it has nothing to do with.
"""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import torch

Name = TypeVar("Name", bound=Hashable)

FLUSH_BYTES = 512 << 20
FLUSHES = 6  # about 0.7 ms: longer than the host takes to check arguments and launch
FLUSHED_BY = "L2 emptied by reading"  # stands in every result: figures with another method are not to be compared with these


@dataclass(frozen=True)
class Timing:
    median_us: float
    low_us: float  # 20th percentile
    high_us: float  # 80th percentile


def measure_together(functions: Mapping[Name, Callable[[], object]], *, repetitions: int = 25) -> dict[Name, Timing]:
    """Time each function ``repetitions`` times, in turns, after two calls that are not counted."""
    flush = torch.zeros(FLUSH_BYTES // 4, dtype=torch.float32, device="cuda")
    for function in functions.values():
        function()
        function()
    torch.cuda.synchronize()
    events: dict[Name, list[tuple[torch.cuda.Event, torch.cuda.Event]]] = {name: [] for name in functions}
    for _ in range(repetitions):
        for name, function in functions.items():
            for _ in range(FLUSHES):
                flush.amax()
            start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            start.record()
            function()
            end.record()
            events[name].append((start, end))
    torch.cuda.synchronize()
    return {name: _timing([start.elapsed_time(end) * 1e3 for start, end in pairs]) for name, pairs in events.items()}


def _timing(times_us: list[float]) -> Timing:
    low, median, high = torch.tensor(times_us, dtype=torch.float64).quantile(torch.tensor([0.2, 0.5, 0.8], dtype=torch.float64))
    return Timing(median_us=median.item(), low_us=low.item(), high_us=high.item())
