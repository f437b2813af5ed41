"""What Nsight Compute prints of a profiled call, as `Counters`: a table of text, read as hostile.

The tool prints a line of names, a line of units, then a line for each launch. A line is found by its place and a number by the
name of its column, so that nothing hangs on the name of a kernel, which a learner chose.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Mapping, Sequence

from grader.report import Counters, Stall

MOST_BYTES = 256 << 10  # of the table; a line of ours takes about 1 KiB
MOST_LAUNCHES = 16  # of one call: each is launched again for every pass
MOST_STALLS = 5
NOT_ALLOWED = "ERR_NVGPUCTRPERM"

_TIME = "gpu__time_duration.sum"  # ns
_READ, _WRITTEN = "dram__bytes_read.sum", "dram__bytes_write.sum"
_READ_SINCE_120, _WRITTEN_SINCE_120 = "dram__bytes_op_read.sum", "dram__bytes_op_write.sum"
_L2_READ, _L2_WRITTEN = "lts__t_sectors_srcunit_tex_op_read.sum", "lts__t_sectors_srcunit_tex_op_write.sum"
_SECTOR_BYTES = 32
_ACTIVE, _ELAPSED = "sm__cycles_active.avg", "sm__cycles_elapsed.avg"
# Percent of the time in which there is a program.
_WHILE_ACTIVE = {
    "issue": "smsp__issue_active.avg.pct_of_peak_sustained_active",
    "tensor": "sm__pipe_tensor_cycles_active.avg.pct_of_peak_sustained_active",
    "alu": "sm__inst_executed_pipe_alu.avg.pct_of_peak_sustained_active",
    "fma": "sm__inst_executed_pipe_fma.avg.pct_of_peak_sustained_active",
    "special": "sm__inst_executed_pipe_xu.avg.pct_of_peak_sustained_active",
}
_MEMORY = "dram__throughput.avg.pct_of_peak_sustained_elapsed"
_WARPS = "sm__warps_active.avg.pct_of_peak_sustained_active"
_MOST_PERCENT = 150.0  # numbers of different passes may give a little more than all
_MOST = 1e15
# Warps waiting for each issued instruction, by what they wait for. Being selected, or ready and not selected, is no waiting.
_STALL = "smsp__average_warps_issue_stalled_{}_per_issue_active.ratio"
REASONS = {
    "barrier": "other warps at a barrier",
    "branch_resolving": "a branch",
    "dispatch_stall": "the dispatcher",
    "drain": "stores to leave at the end",
    "gmma": "a product of the tensor cores",
    "imc_miss": "constants",
    "lg_throttle": "room for loads and stores",
    "long_scoreboard": "loads from memory or L2",
    "math_pipe_throttle": "a busy pipe",
    "membar": "a memory fence",
    "mio_throttle": "room for shared memory",
    "misc": "something else",
    "no_instruction": "instructions to be fetched",
    "short_scoreboard": "shared memory or special functions",
    "sleeping": "a sleep to end",
    "tex_throttle": "room for textures",
    "wait": "an instruction just before",
}
_ONLY_ON_90 = ("gmma",)
_UNTIL_90 = ("imc_miss",)

_HEAD = '"ID",'


def metrics_of(target: str) -> tuple[str, ...]:
    """What is counted on a GPU of that target, "sm_90", by the names that Nsight Compute 2025.3 has for it."""
    number = int(target.removeprefix("sm_"))
    absent = (*(() if number == 90 else _ONLY_ON_90), *(_UNTIL_90 if number > 90 else ()))
    moved = (_READ_SINCE_120, _WRITTEN_SINCE_120) if number >= 120 else (_READ, _WRITTEN)
    stalls = [_STALL.format(reason) for reason in REASONS if reason not in absent]
    return (_TIME, *moved, _L2_READ, _L2_WRITTEN, _ACTIVE, _ELAPSED, _MEMORY, _WARPS, *_WHILE_ACTIVE.values(), *stalls)


class NoCounters(Exception):
    """There are no counters; the message says why, in a sentence."""


Row = Mapping[str, float]  # of one launch: a number for each metric


def rows_of(printed: bytes, metrics: Sequence[str], *, ours_first: int, launches: int) -> Sequence[Row]:
    """For each launch of one call what stands in the columns of `metrics`.

    Args:
        printed: all that the tool said, cut anywhere.
        ours_first: so many launches come first that are not the call's.
        launches: of the call.

    Raises:
        NoCounters: it printed no such table.
    """
    lines = printed[:MOST_BYTES].decode("utf-8", "replace").split("\n")
    # the tool's own words alone: of a kernel that could not be profiled it prints the name behind them
    if any(line.startswith(f"==ERROR== {NOT_ALLOWED}") for line in lines):
        raise NoCounters(f"There are no counters: this machine's driver shows them to administrators alone ({NOT_ALLOWED}).")
    start = next((place for place, line in enumerate(lines) if line.startswith(_HEAD)), None)
    if start is None:
        raise NoCounters("There are no counters: ncu printed no table.")
    names = _cells(lines[start])
    places = {name: names.index(name) for name in metrics if names.count(name) == 1}
    if len(places) != len(metrics):
        missing = next(name for name in metrics if name not in places)
        raise NoCounters(f"There are no counters: ncu has no {missing} on this GPU.")
    rows = []
    for line in lines[start + 2 : start + 3 + ours_first + launches]:
        cells = _cells(line)
        if len(cells) != len(names):
            break
        rows.append({name: _number(cells[place], name) for name, place in places.items()})
    if len(rows) != ours_first + launches:
        raise NoCounters(f"There are no counters: of {ours_first + launches} launches ncu counted {len(rows)}.")
    return rows[ours_first:]


def counters_of(counted: Sequence[Row]) -> Counters:
    """The counters of one call from those of its launches: the sums, and the means over the time that each took.

    Raises:
        NoCounters: no time was counted.
    """
    whole_ns = math.fsum(row[_TIME] for row in counted)
    if not whole_ns > 0:
        raise NoCounters("There are no counters: ncu counted no time.")

    def total(*names: str) -> int:
        return round(math.fsum(row.get(name, 0.0) for row in counted for name in names))

    def mean(of: Callable[[Row], float]) -> float:
        return math.fsum(of(row) * row[_TIME] for row in counted) / whole_ns

    def share(name: str) -> Callable[[Row], float]:
        return lambda row: row[name] / 100

    def busy(name: str) -> Callable[[Row], float]:
        return lambda row: row[name] / 100 * _occupied(row)

    def waiting(reason: str) -> Callable[[Row], float]:
        return lambda row: row.get(_STALL.format(reason), 0.0)

    return Counters(
        launches=len(counted),
        duration_ms=whole_ns / 1e6,
        read_bytes=total(_READ, _READ_SINCE_120),
        written_bytes=total(_WRITTEN, _WRITTEN_SINCE_120),
        l2_bytes=_SECTOR_BYTES * total(_L2_READ, _L2_WRITTEN),
        memory=mean(share(_MEMORY)),
        occupied=mean(_occupied),
        warps=mean(share(_WARPS)),
        **{field: mean(busy(name)) for field, name in _WHILE_ACTIVE.items()},
        stalls=_stalls({reason: mean(waiting(reason)) for reason in REASONS}),
    )


def _occupied(row: Row) -> float:
    return min(1.0, row[_ACTIVE] / row[_ELAPSED]) if row[_ELAPSED] > 0 else 0.0


def _stalls(waiting: Mapping[str, float]) -> tuple[Stall, ...]:
    whole = math.fsum(waiting.values())
    if not whole > 0:
        return ()
    largest = sorted(waiting, key=lambda reason: -waiting[reason])[:MOST_STALLS]
    return tuple(Stall(reason=REASONS[reason], share=waiting[reason] / whole) for reason in largest if waiting[reason] > 0)


def _cells(line: str) -> Sequence[str]:
    """The cells of one line; none where it is no line of a table."""
    try:
        return next(csv.reader([line.rstrip("\r")], strict=True), [])
    except csv.Error:
        return []


def _number(text: str, name: str) -> float:
    most = _MOST_PERCENT if ".pct_of_" in name else _MOST
    try:
        number = float(text.replace(",", ""))
    except ValueError:
        raise NoCounters(f"There are no counters: ncu printed no number for {name}.") from None
    if not 0 <= number <= most:  # NaN is neither
        raise NoCounters(f"There are no counters: ncu printed {number:g} for {name}.")
    return number
