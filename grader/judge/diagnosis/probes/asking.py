"""Questions are put to a kernel in a session of its own, within bounds of time and calls; it ends once enough is known."""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Callable, Iterable, Sequence

from grader.judge.case.inputs import PreparedCase
from grader.judge.case.judged import Finding
from grader.judge.diagnosis.probes.question import KernelQuestion, Reading
from grader.report import Verdict

CALLS = 200
SECONDS = 10.0
LONGEST_S = 40.0  # on the clock, whatever else the machine does
BATCH = 24  # questions whose inputs are made at a time
ENOUGH_FACTS = 3
VALUES = "values"  # the family of questions of whose value a head gets; it is asked early and told after …
MORE_TELLING = ("merge", "seen", "equal", "kv", "keys", "weights", "slope")
ENDINGS = (Verdict.TIME_LIMIT, Verdict.CRASHED, Verdict.MEMORY_LIMIT, Verdict.CANCELLED, Verdict.NOT_RUN)


@dataclasses.dataclass(frozen=True, kw_only=True)
class AskedQuestion:
    """A question that was asked. `reading` is None where every case of it is right, or nothing can be read."""

    question: KernelQuestion
    findings: tuple[Finding, ...]
    reading: Reading | None


Asked = Callable[[Sequence[PreparedCase], Callable[[], bool]], Iterable[Finding]]


def ask(
    questions: Iterable[KernelQuestion],
    run: Asked,
    *,
    cancelled: Callable[[], bool],
    clock: Callable[[], float] = time.monotonic,
    enough: Callable[[Sequence[AskedQuestion]], bool] = lambda answered: False,
) -> list[AskedQuestion]:
    """Put the questions, in their order, for SECONDS and CALLS at most.

    Args:
        run: runs cases in one session after another, and yields a finding for each; it stops where it is told to.
        clock: seconds, of which SECONDS may pass; LONGEST_S at most.
        enough: asked after each question with a reading once there are facts from ENOUGH_FACTS families of questions: whether
            the rest may be left out.
    """
    deadline, latest = clock() + SECONDS, time.monotonic() + LONGEST_S
    stop = lambda: cancelled() or clock() > deadline or time.monotonic() > latest  # noqa: E731
    answered: list[AskedQuestion] = []
    calls = 0
    rest = iter(questions)
    while not stop():
        batch = list(itertools.islice(rest, BATCH))
        if not batch:
            break
        findings = iter(run([case for question in batch for case in question.cases], stop))
        for question in batch:
            calls += len(question.cases)
            own = tuple(itertools.islice(findings, len(question.cases)))
            if len(own) < len(question.cases) or calls > CALLS or any(finding.verdict in ENDINGS for finding in own):
                return answered
            wrong = any(finding.failed for finding in own)
            reading = question.read(own) if wrong else None
            answered.append(AskedQuestion(question=question, findings=own, reading=reading))
            if _settled(answered):
                return answered
            if reading is not None and _facts(answered) >= ENOUGH_FACTS and enough(answered):
                return answered
    return answered


def telling(answered: Sequence[AskedQuestion]) -> list[Reading]:
    """Readings that are to be shown: the first of each family of questions; where some are to stand alone, those."""
    alone = [each.reading for each in answered if each.reading is not None and each.reading.alone]
    if alone:
        return alone
    first: dict[str, Reading] = {}
    for each in answered:
        if each.reading is not None:
            first.setdefault(each.question.family, each.reading)
    again = {id(reading) for reading in first.values()} - {id(reading) for reading in different(list(first.values()))}
    told = sorted(first.values(), key=lambda reading: (not reading.first, reading.last, id(reading) in again))
    of_heads = first.get(VALUES)
    if of_heads is not None and not of_heads.first:  # what it shows may come of what others show, but not whose value it is
        at = told.index(of_heads)
        told.remove(of_heads)
        more = [place for place, reading in enumerate(told) if any(first.get(family) is reading for family in MORE_TELLING)]
        at = max([at, *(place + 1 for place in more)])
        told.insert(min(at, ENOUGH_FACTS - 1) if of_heads.whose else at, of_heads)
    return told


def _facts(answered: Sequence[AskedQuestion]) -> int:
    """How many families have told something, but for that which is asked in any case."""
    return len(telling([each for each in answered if each.question.family != VALUES]))


def different(readings: Sequence[Reading]) -> list[Reading]:
    """Without those that tell what an earlier one does: two bugs at once show in two sorts of fact."""
    return [
        reading
        for at, reading in enumerate(readings)
        if not reading.tells or all(reading.tells != earlier.tells for earlier in readings[:at])
    ]


def _settled(answered: Sequence[AskedQuestion]) -> bool:
    """Whether a family of questions has been asked to its end of which a reading stands alone: no other would be shown."""
    last = answered[-1].question.family
    return any(each.reading is not None and each.reading.alone and each.question.family != last for each in answered)
