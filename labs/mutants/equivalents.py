"""Mutants that are no bugs: what they change cannot be seen in any answer, each with its reason. A test holds the list.

An entry is found by lab, base, the text of the line and the change, so that it falls out of use when the line changes.
"""

from __future__ import annotations

import json
from pathlib import Path

from labs.mutants.trial import Tried

FILE = Path(__file__).with_name("equivalents.json")


def reasons() -> dict[str, str]:
    """By a mutant's name, why it is equivalent."""
    return json.loads(FILE.read_text(encoding="utf-8"))


def unexplained(results: list[Tried]) -> list[Tried]:
    """Survivors that nobody has explained."""
    known = reasons()
    return [result for result in results if result.survived and result.name not in known]
