"""What a right answer does and need not, seen from what it spent: memory that grows with n², bytes read again, hidden tiles.

Each function makes a `labs.declaration.Habit`; used by the labs that name it. A byte count of 0 (on a GPU) shows nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from labs.declaration import Habit, Inputs, Spent

FOURFOLD = 3.0  # what grows more than threefold when n doubles grows with n²
ALL_OF_IT = 0.9  # of the bytes that a second reading moves: a kernel may mask some


def memory_slope(short: str, long: str) -> Habit:
    """Extra memory in the case `short` and in `long`, which is alike but for lengths twice as large."""

    def remark(spent: Mapping[str, Spent]) -> str:
        if short not in spent or long not in spent or spent[short].scratch_bytes == 0:
            return ""
        before, after = spent[short].scratch_bytes, spent[long].scratch_bytes
        growth = after / before
        measured = f"from {before:,} bytes ({short}) to {after:,} ({long})"
        if growth >= FOURFOLD:
            return (
                f"Extra memory grew {growth:.1f} times when n doubled, {measured}: it holds a number for each pair of tokens."
            )
        return f"Extra memory grew {growth:.1f} times when n doubled, {measured}."

    return remark


def read_again(argument: str, case: str, *, from_times: int, advice: str) -> Habit:
    """The tensor `argument`, nearly all that the kernels of this lab load, is loaded `from_times` times or more."""

    def remark(spent: Mapping[str, Spent]) -> str:
        if case not in spent:
            return ""
        times = spent[case].loaded_bytes / spent[case].inputs[argument].nbytes
        return f"{argument} is read {times:.1f} times. {advice}" if times >= from_times - 1 + ALL_OF_IT else ""

    return remark


def cache_read_by_each_head(case: str, cache: tuple[str, ...]) -> Habit:
    """As many bytes are loaded as if every query head of a group loaded its keys and values (the arguments `cache`).

    Lanes that load one byte together are counted each. Where that makes up the number it is as large in other groups: so it
    is said only where it grows with the group, by each other case of a full cache whose groups are of another size; where
    there is none, only of exactly as many times.
    """

    def remark(spent: Mapping[str, Spent]) -> str:
        if case not in spent:
            return ""
        times, group_size = _times(spent[case], cache)
        others = [
            _times(other, cache) for other in spent.values() if bool((other.inputs["kv_len"] == _keys(other, cache)).all())
        ]
        each = times / group_size
        as_often = [abs(read / group / each - 1) < 0.25 for read, group in others if group != group_size and each]
        if group_size < 2 or each < ALL_OF_IT or not (all(as_often) if as_often else abs(each - 1) < 0.05):
            return ""
        how_often = "" if abs(each - 1) < 0.05 else f" {each:.1f} times"
        return (
            f"The cache is read {times:.1f} times, as if each of the {group_size} query heads of a group loaded it{how_often}. "
            "One program can serve the whole group, and need load each byte once."
        )

    return remark


def _keys(spent: Spent, cache: tuple[str, ...]) -> int:
    return spent.inputs[cache[0]].shape[2]


def _times(spent: Spent, cache: tuple[str, ...]) -> tuple[float, int]:
    """How often the cache is loaded, and the query heads of a group."""
    inputs = spent.inputs
    group_size = inputs["query"].shape[1] // inputs[cache[0]].shape[1]
    return spent.loaded_bytes / sum(inputs[name].nbytes for name in cache), group_size


def dequantised_copy(case: str, decoded_bytes: Callable[[Inputs], int]) -> Habit:
    """Scratch, and what is stored there, have room for a copy of key in fp16, of `decoded_bytes`."""

    def remark(spent: Mapping[str, Spent]) -> str:
        if case not in spent:
            return ""
        used, copy = spent[case], decoded_bytes(spent[case].inputs)
        stored = used.stored_bytes - used.out_bytes
        if used.scratch_bytes < copy or (used.stored_bytes and stored < copy):
            return ""
        return (
            f"A dequantised copy of the cache is written to memory ({used.scratch_bytes:,} bytes of scratch; key in fp16 is "
            f"{copy:,}): that moves more than the codes save. Dequantise in registers."
        )

    return remark


def hidden_keys_loaded(case: str, *, advice: str) -> Habit:
    """Whole tiles of keys that no query row of their program sees are loaded in `case`, by the interpreter's book."""

    def remark(spent: Mapping[str, Spent]) -> str:
        if case not in spent or spent[case].hidden_keys == 0:
            return ""
        hidden, loaded = spent[case].hidden_keys, spent[case].loaded_keys
        return f"Tiles that are hidden entirely are loaded: {hidden:,} of {loaded:,} rows of key and value in {case}. {advice}"

    return remark
