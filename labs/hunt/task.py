"""A task of the hunt: a mistake that a visible case shows, with the key to it and how hard it is.

The key (`lines`, `kind`, `changes`, `mended`) stays on the server until the learner has answered. So does a mistake's name,
which says what is broken: a task goes by an id that does not.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import random
from collections.abc import Mapping

from labs import lab_ids, load
from labs.declaration import Case
from labs.hunt.kinds import KINDS, Kind, kind_of
from labs.hunt.told import Told, fingerprint, told
from labs.mistake import Change, Mistake

CHOICES = 4  # kinds to choose from
FARTHEST = 30  # lines between cause and symptom; more make it no harder
HARDEST = 4  # of `Task.level`


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task:
    """`distance`: lines from the store to `out`, where the symptom shows, back to the nearest wrong line. `labs`: how many labs
    come before its own. `shown`, `hidden`: the visible cases that fail and that pass.
    """

    id: str
    lab: str
    mistake: Mistake
    kind: Kind
    told: Told
    distance: int
    labs: int
    shown: tuple[Case, ...]
    hidden: tuple[Case, ...]

    @property
    def source(self) -> str:
        return self.mistake.source

    @property
    def changes(self) -> tuple[Change, ...]:
        return self.mistake.changes

    @functools.cached_property
    def lines(self) -> frozenset[int]:
        """The lines, from 1, of which any is a right mark. Where lines were only taken away, those on both sides of the gap."""
        found: set[int] = set()
        for change in self.changes:
            found |= set(range(change.first, change.last + 1)) if change.wrong else {max(change.first - 1, 1), change.first}
        return frozenset(found)

    @functools.cached_property
    def mended(self) -> str:
        """The right answer that the mistake is an edit of."""
        return mended(self.mistake)

    @functools.cached_property
    def choices(self) -> tuple[Kind, ...]:
        """Kinds to choose from, its own among them, always the same: the others are such as this lab has bugs of."""
        drawn = random.Random(self.id)
        others = [kind for kind in kinds_of(self.lab) if kind is not self.kind]
        others += [kind for kind in KINDS if kind is not self.kind and kind not in others]  # of a lab with few kinds
        near = others[: max(CHOICES - 1, len(kinds_of(self.lab)) - 1)]
        chosen = [self.kind, *drawn.sample(near, CHOICES - 1)]
        drawn.shuffle(chosen)
        return tuple(chosen)

    @property
    def score(self) -> float:
        """How hard it is, from 0 to 1: how far the cause is from the symptom, how many labs one needs, how few cases fail."""
        spared = len(self.hidden) / (len(self.shown) + len(self.hidden))
        return (min(self.distance, FARTHEST) / FARTHEST + self.labs / (len(lab_ids()) - 1) + spared) / 3

    @property
    def level(self) -> int:
        """The same in steps, 1 to `HARDEST`."""
        return min(int(self.score * 1.2 * HARDEST) + 1, HARDEST)  # nothing is hardest in all three


def mended(mistake: Mistake) -> str:
    """The mistake's source with every change of it taken back."""
    lines = mistake.source.splitlines()
    for change in reversed(mistake.changes):
        wrong = len(change.wrong.splitlines())
        lines[change.first - 1 : change.first - 1 + wrong] = change.right.splitlines()
    return "\n".join(lines) + "\n"


@functools.cache
def tasks() -> Mapping[str, Task]:
    """Every task by its id, lab after lab, in the order of each lab's mistakes."""
    found: dict[str, Task] = {}
    for lab_id in lab_ids():
        for mistake in load(lab_id).mistakes:
            if not why_none(lab_id, mistake):
                task = _task(lab_id, mistake)
                if task.id in found:
                    raise ValueError(f"tasks {task.mistake.name} and {found[task.id].mistake.name} have one id, {task.id}")
                found[task.id] = task
    return found


@functools.cache
def kinds_of(lab_id: str) -> tuple[Kind, ...]:
    """The kinds that the lab's mistakes are of, in the order of `KINDS`."""
    there = {kind_of(lab_id, mistake.name) for mistake in load(lab_id).mistakes}
    return tuple(kind for kind in KINDS if kind in there)


def why_none(lab_id: str, mistake: Mistake) -> str:
    """Why a mistake is no task, in a few words; "" where it is one."""
    if not mistake.changes:
        return "no edit of a right answer"
    if kind_of(lab_id, mistake.name) is None:
        return "under no kind of labs/hunt/kinds.py"
    said = told().get(f"{lab_id}/{mistake.name}")
    if said is None or said.fingerprint != fingerprint(mistake.source):
        return "not judged as it stands: run python -m labs hunt --check --write"
    return "" if said.failing else "no visible case fails"


def _task(lab_id: str, mistake: Mistake) -> Task:
    kind, said = kind_of(lab_id, mistake.name), told()[f"{lab_id}/{mistake.name}"]
    assert kind is not None  # `why_none` has looked
    visible = [case for case in load(lab_id).lab.cases if case.group == "visible" and "cpu" in case.devices]
    return Task(
        id=hashlib.sha256(f"{lab_id}/{mistake.name}".encode()).hexdigest()[:8],
        lab=lab_id,
        mistake=mistake,
        kind=kind,
        told=said,
        distance=_distance(mistake),
        labs=lab_ids().index(lab_id),
        shown=tuple(case for case in visible if case.name in said.failing),
        hidden=tuple(case for case in visible if case.name not in said.failing),
    )


def _distance(mistake: Mistake) -> int:
    stores = [number for number, line in enumerate(mistake.source.splitlines(), 1) if "tl.store(" in line]
    wrong = [number for change in mistake.changes for number in (change.first, change.last)]
    return min((abs(stores[-1] - number) for number in wrong), default=0) if stores else 0
