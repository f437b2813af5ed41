"""Patterns over cases that a lab declares: which fail and which do not. They predict no number, so that facts can deny them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import torch

from grader.judge.case.judged import Finding
from grader.report import Verdict
from labs.declaration import Lab, Symptom

NOISE = 4.0  # of the gate's limits, within which a row is a multiple of the right one
_OF_THE_SUM = ("sum_not_rescaled",)
_OF_HEADS = ("first_head", "first_batch", "batch_head_swapped", "split_by_batch")

# A symptom of that name is one of these bugs, which can be computed.
SAME_BUG = {
    "one_max_for_all_rows": ("max_of_rows",),
    "max_starts_at_zero": ("max_starts_at_zero", "max_of_absolute"),
    "head_offset": tuple(f"{name}_{parts}" for name in _OF_HEADS for parts in ("key", "key_value", "query_key_value")),
    "window_alignment": ("top_left",),
    "acc_in_fp16": ("acc_rounded",),
    "masked_first_block": ("fully_masked_tile",),
}


@dataclasses.dataclass(frozen=True)
class Needs:
    """What a symptom needs of the answers to our questions, by the beginnings of their names: some question of each of `wrong`
    is answered wrongly, and none of `right`, which would deny it.
    """

    right: tuple[str, ...]
    wrong: tuple[str, ...] = ()


_PLAIN = ("weights_", "equal_", "slope", "step_", "climb", "fall")
# Where only a loop's bound is not shifted, 20 keys lie in one tile with the diagonal, and show nothing.
_LONGER_KEYS = ("weights_12_20", "weights_5_40", "seen_96_128")
NEEDS = {
    "max_not_subtracted": Needs((*_PLAIN, "level_-20_", "level_-50"), ("level_200", "level_1000")),
    "max_starts_at_zero": Needs((*_PLAIN, "level_200", "level_1000"), ("level_-200_64", "level_-200_256")),
    "one_max_for_all_rows": Needs((*_PLAIN, "level_"), ("rows_at_levels",)),
    "shared_maximum": Needs((*_PLAIN, "level_200", "level_1000"), ("heads_at_levels",)),
    "minimum_subtracted": Needs(("equal_64", "equal_128"), ("level_", "rows_at")),
    "max_replaced": Needs((*_PLAIN, "level_", "peak_last"), ("peak_first",)),
    "nothing_rescaled": Needs(("weights_", "equal_", "slope", "step_-4", "fall", "level_"), ("climb",)),
    "sum_not_rescaled": Needs(("weights_", "equal_", "slope", "step_-4", "fall", "level_"), ("step_4",)),
    "acc_in_fp16": Needs((*_PLAIN, "level_"), ("large_value",)),
    "fp16_sum": Needs((*_PLAIN, "level_"), ("large_value",)),
    "head_offset": Needs(("weights_", "equal_", "slope"), ("heads_", "values_")),
    "fully_masked_tile": Needs(("equal_", "slope", "step_"), ("weights_12_20", "queries_", "weights_20_12", "weights_5_40")),
    "no_visible_key": Needs(("equal_", "slope", "step_", "weights_12_12", "weights_12_20"), ("weights_20_12",)),
    "no_keys": Needs((*_PLAIN, "level_"), ("kv_len_",)),
    "nan_beyond_kv_len": Needs((*_PLAIN, "level_"), ("nan_beyond",)),
    "empty_split": Needs(
        ("equal_64", "equal_512", "slope", "step_", "climb", "fall"), ("kv_len_", "equal_1")
    ),  # few keys leave splits empty
    "merge_weights": Needs(("equal_64", "equal_512", "slope", "values_"), ("step_", "climb")),
    "window_alignment": Needs(("weights_12_12", "values_3_3_1", "values_2_3_1"), _LONGER_KEYS),
    "mask_alignment": Needs(("weights_12_12", "values_3_3_1", "values_2_3_1"), _LONGER_KEYS),
    "masked_first_block": Needs((*_PLAIN, "masked_middle", "masked_last"), ("masked_first",)),
}


def speaking(
    lab: Lab, findings: Sequence[Finding], answers: Mapping[str, bool] | None, *, seen_lost: bool = False
) -> Symptom | None:
    """The first symptom that holds and that no fact denies.

    Args:
        answers: by the names of the questions that were asked, whether they were answered rightly; None where none was.
        seen_lost: whether a query gave no weight to a key that it sees, which hidden keys alone do not explain; or none was
            asked.
    """
    for symptom in lab.symptoms:
        if symptom.name == "hidden_keys" and seen_lost:
            continue
        if holds(symptom, findings) and not denied(symptom, answers) and not contradicted(symptom, findings):
            return symptom
    return None


def contradicted(symptom: Symptom, findings: Sequence[Finding]) -> bool:
    """Whether some answer cannot be that bug's: an address of heads does not matter to one head, and what is wrong with the sum
    alone moves all of a row by one factor.
    """
    wrong = [finding for finding in findings if finding.verdict is Verdict.WRONG_ANSWER]
    if symptom.name == "head_offset":
        return any(_one_head(finding) for finding in wrong)
    return symptom.name in _OF_THE_SUM and not all(_of_one_factor(finding) for finding in wrong)


def _one_head(finding: Finding) -> bool:
    query = finding.prepared.tensors.get("query")
    return query is not None and query.shape[:2].numel() == 1


def _of_one_factor(finding: Finding) -> bool:
    """Whether each finite row of out is the right one times a number, within what the gate allows."""
    assert finding.out is not None and finding.expected is not None and finding.comparison is not None
    got, want = (x.double().reshape(-1, finding.out.shape[-1]) for x in (finding.out, finding.expected))
    finite = torch.isfinite(got).all(-1)
    got, want = got[finite], want[finite]
    factor = (got * want).sum(-1, keepdim=True) / want.square().sum(-1, keepdim=True).clamp(min=1e-300)
    left = (got - factor * want).norm(dim=-1) / (factor * want).norm(dim=-1).clamp(min=1e-300)
    return bool((left <= NOISE * finding.comparison.limit).all())


def denied(symptom: Symptom, answers: Mapping[str, bool] | None) -> bool:
    """Whether the answers are not what the symptom needs. Of one that needs nothing they say nothing."""
    if answers is None or symptom.name not in NEEDS:
        return False
    needs = NEEDS[symptom.name]
    if any(not right and name.startswith(needs.right) for name, right in answers.items()):
        return True
    seen = [right for name, right in answers.items() if name.startswith(needs.wrong)]
    return bool(needs.wrong) and bool(seen) and all(seen)


def confirmed(lab: Lab, findings: Sequence[Finding], name: str) -> Symptom | None:
    """The symptom that holds and is the bug of that name, which has been foretold: the lab puts it in its own words."""
    for symptom in lab.symptoms:
        if name in (symptom.name, *SAME_BUG.get(symptom.name, ())) and holds(symptom, findings):
            return symptom
    return None


def holds(symptom: Symptom, findings: Sequence[Finding]) -> bool:
    """At least one of `failing` ran and failed, all that ran did, and none of `passing` failed."""
    ran = [finding for finding in findings if finding.verdict is not Verdict.NOT_RUN]
    concerned = [finding for finding in ran if _matches(finding.name, symptom.failing)]
    if not concerned or not all(finding.failed for finding in concerned):
        return False
    if symptom.verdicts and not all(str(finding.verdict) in symptom.verdicts for finding in concerned):
        return False
    return not any(finding.failed for finding in ran if _matches(finding.name, symptom.passing))


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(name == pattern or (pattern.endswith("*") and name.startswith(pattern[:-1])) for pattern in patterns)
