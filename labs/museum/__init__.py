"""The reward-hack museum: ways in which GPU graders were fooled in public, each a submission to lab 2 that anyone may hand in.

An exhibit's docstring tells the trick, where it was seen, what our grader answers and the verdict it gets. The tests submit
every one; the page shows them.
"""

from __future__ import annotations

import ast
import dataclasses
import re
from pathlib import Path

LAB = "lab02_safe_softmax"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Exhibit:
    """One trick. `verdicts`: what may become of it; which one can depend on the device."""

    name: str
    title: str
    trick: str
    seen: str
    answer: str
    verdicts: tuple[str, ...]
    source: str


def exhibits() -> tuple[Exhibit, ...]:
    """All of them, in the order of their names."""
    return tuple(_read(path) for path in sorted(Path(__file__).parent.glob("[a-z]_*.py")))


def _read(path: Path) -> Exhibit:
    source = path.read_text(encoding="utf-8")
    text = ast.get_docstring(ast.parse(source))
    assert text is not None, f"{path.name} must have a docstring"
    told = {key.lower(): value for key, value in re.findall(r"^(Trick|Seen|Answer|Verdict): (.*)$", text, flags=re.M)}
    return Exhibit(
        name=path.stem[2:],
        title=text.partition("\n")[0],
        trick=told["trick"],
        seen=told["seen"],
        answer=told["answer"],
        verdicts=tuple(told["verdict"].split()),
        source=source,
    )
