"""Which questions a kernel of a lab is asked, the most telling first: basic ones before those that they would confuse."""

from __future__ import annotations

from collections.abc import Iterator

from grader.judge.diagnosis.probes import (
    columns,
    counts,
    crumbs,
    gradients,
    heads,
    layouts,
    merges,
    peaks,
    precision,
    products,
    reach,
    seen,
    slope,
    steps,
    tables,
    weights,
)
from grader.judge.diagnosis.probes.question import KernelQuestion
from labs.declaration import Lab

WIDEST = {"lab02_safe_softmax": 4096}  # columns; in lab 3 rows may be of any length
UNLIMITED = 1 << 17


def questions(lab: Lab, lab_id: str) -> Iterator[KernelQuestion]:
    """Shape of the mask before counts, counts before steps, slope before what depends on the scores' size. Whose value a head
    gets hangs on none of these, so it is asked before there are facts enough (`asking.telling` shows it behind them).
    """
    kind = lab.kind
    match kind:
        case "":
            return
        case "scores":
            yield from products.products(lab)
            return
        case "softmax":
            yield from columns.columns(lab, WIDEST.get(lab_id, UNLIMITED))
            return
        case "backward":
            yield from gradients.gradients(lab)
            return
    for ask in (
        tables.tables,
        peaks.peaks,
        reach.apart,
        heads.values_of_heads,
        merges.merges,
        seen.seen,
        counts.equal_scores,
        counts.lengths,
        weights.small,
        slope.slope,
        steps.steps,
        weights.heads,
        reach.reach,
        crumbs.crumbs,
        weights.levels,
        layouts.layouts,
        weights.rows,
        counts.nan_beyond,
        precision.large_values,
        precision.close_scores,
    ):
        yield from ask(lab, kind)
