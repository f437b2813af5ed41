"""Numbers and places in a sentence: four digits, runs of places, which keys."""

from __future__ import annotations

from collections.abc import Sequence


def number(value: float) -> str:
    """Four digits, for a sentence."""
    value = float(value) + 0.0  # −0 is 0
    return f"{value:.4g}".replace("-", "−", 1) if value < 0 else f"{value:.4g}"


def several(places: Sequence[int]) -> str:
    """[3, 4, 5, 9] → "3 to 5, 9"; at most four runs."""
    runs: list[list[int]] = []
    for place in places:
        if runs and place == runs[-1][1] + 1:
            runs[-1][1] = place
        else:
            runs.append([place, place])
    said = [str(first) if first == last else f"{first} to {last}" for first, last in runs[:4]]
    return ", ".join(said) + (" …" if len(runs) > 4 else "")


def keys_named(places: Sequence[int]) -> str:
    """ "key 3", "keys 126 to 128"; "" of none."""
    return f"key{'s' if len(places) > 1 else ''} {several(places)}" if places else ""
