"""Answers of several tensors: each is held against the rules by itself, so that a bug of one launch, or two bugs, are seen.

A rule foretells all outputs. Where its bug is made in one place only, one output is as it says and the others are right.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np
import torch
from torch.utils.weak import WeakIdKeyDictionary

from grader.judge.case.judged import Finding
from grader.judge.diagnosis.accounts.rules import accounts
from grader.judge.diagnosis.oracles import Suspects, on_cpu
from grader.judge.diagnosis.strides import listed
from grader.judge.verdict.gate import compare
from grader.report import Diagnosis, Fact, Verdict
from labs.declaration import Inputs, Lab, Oracle
from labs.table import Form, part

NOISE = 4.0  # a factor is one where what is left of a row is within so many of the case's limits
FACTS = 3


def by_output(lab: Lab, findings: Sequence[Finding]) -> Diagnosis | None:
    """What is wrong with each of several outputs; None of a lab that has one, or where all that fails is NaN.

    Where an output that others are computed from (`Output.source`) is wrong, it alone is spoken of: they are wrong with it.
    """
    if len(lab.outputs) < 2 or not any(finding.verdict is Verdict.WRONG_ANSWER for finding in findings):
        return None
    findings = [finding if finding.out is None else on_cpu(finding) for finding in findings]
    failed = [finding for finding in findings if _wrong(finding)]
    shown = [finding for finding in failed if finding.visible]  # which outputs are wrong in a hidden case is not told
    wrong = [output.name for output in lab.outputs if any(output.name in _wrong(finding) for finding in shown or failed)]
    source = next((output.name for output in lab.outputs if output.source and output.name in wrong), None)
    answers: WeakIdKeyDictionary = WeakIdKeyDictionary()  # by a tensor of the inputs: each rule's table, computed once
    later = [output.name for output in lab.outputs if not output.source]
    sparing = functools.partial(_spares, lab, failed, wrong, answers)
    found_of = {name: _suspects(lab, name, findings, answers) for name in wrong}
    said: dict[tuple[str, str], list[str]] = {}
    for name in [source] if source else wrong:
        apart = [other for other in wrong if other != name]  # wrong for another reason, unless the rule foretells them as well

        def alone_or_all(rule: str, apart: Sequence[str] = apart) -> bool:
            others = [other for other in apart if not any(left.name == rule for left in found_of[other].left(()))]
            return _spares(lab, failed, [each for each in wrong if each not in others], answers, rule)

        found = found_of[name].named((), alone_or_all, sparing)
        if found and name in later and not _spares(lab, failed, [*later, *wrong], answers, found[0]):
            found = None  # its bug would show in what this output is computed from
        said.setdefault(found or ("", ""), []).append(name)
    named = {rule: names for rule, names in said.items() if rule != ("", "")}
    if not shown and not named:
        return None
    right = [output.name for output in lab.outputs if output.name not in wrong]
    told = f"{listed(wrong)} {_are(wrong)} wrong" + (f", {listed(right)} {_are(right)} right." if right else ".")
    if source and len(wrong) > 1 and not [name for name in later if name in right]:
        told += f" The gradients are computed from {source}: look there first."
    whys = (f"{listed(names)} {_are(names)} what comes of this: {rule[1]}" for rule, names in named.items())
    name = next(iter(named))[0] if named else "wrong_answer"
    return Diagnosis(sentence=" ".join([*([told] if shown else []), *whys]), name=name)


def facts_of_outputs(findings: Sequence[Finding]) -> tuple[Fact, ...]:
    """Of the visible cases: for each wrong output its rows, and the one factor by which they are off, or the worst cell."""
    found: dict[str, Fact] = {}
    for finding in findings:
        for form in finding.prepared.forms if finding.visible and finding.out is not None else ():
            if len(finding.prepared.forms) > 1 and form.name not in found and form.name in _wrong(finding):
                found[form.name] = _fact(alone(finding, form), form)
    return tuple(found.values())[:FACTS]


def alone(finding: Finding, form: Form) -> Finding:
    """The case as if this output were all that it asks for: [.., columns], a column each where every cell is a row."""
    assert finding.out is not None and finding.expected is not None and finding.comparison is not None
    forms = finding.prepared.forms
    out, expected = (part(forms, form, x) for x in (finding.out, finding.expected))
    row_size = finding.row_size[_rows(forms, form)] if finding.row_size is not None else None
    comparison = compare(out.to(form.dtype), expected, finding.comparison.limit, row_size)
    verdict = comparison.verdict if finding.verdict is not Verdict.NOT_RUN else finding.verdict
    return dataclasses.replace(
        finding, verdict=verdict, out=out.to(form.dtype), expected=expected, row_size=row_size, comparison=comparison
    )


def _rows(forms: Sequence[Form], form: Form) -> slice:
    first = sum(each.rows for each in forms[: forms.index(form)])
    return slice(first, first + form.rows)


def _wrong(finding: Finding) -> set[str]:
    """The outputs that have a wrong row."""
    if not finding.failed or finding.comparison is None:
        return set()
    return _of_rows(finding.prepared.forms, finding.comparison.bad_rows)


def _of_rows(forms: Sequence[Form], bad: Sequence[int]) -> set[str]:
    spans = {form.name: _rows(forms, form) for form in forms}
    return {name for name, rows in spans.items() if any(rows.start <= row < rows.stop for row in bad)}


def _suspects(lab: Lab, name: str, findings: Sequence[Finding], answers: WeakIdKeyDictionary) -> Suspects:
    output = next(output for output in lab.outputs if output.name == name)
    answered = [finding for finding in findings if finding.out is not None and finding.verdict is not Verdict.NOT_WRITTEN]
    own = [alone(each, next(form for form in each.prepared.forms if form.name == name)) for each in answered]
    forms = {id(each.prepared.inputs): each.prepared.forms for each in answered}

    def of_output(oracle: Oracle) -> Oracle:
        def answer(given: Inputs) -> torch.Tensor:
            made = forms[id(given)]
            return part(made, next(form for form in made if form.name == name), _kept(answers, oracle, given))

        return dataclasses.replace(oracle, answer=answer)

    return Suspects([of_output(oracle) for oracle in lab.oracles], accounts(output.kind), own)


def _spares(lab: Lab, failed: Sequence[Finding], wrong: Sequence[str], answers: WeakIdKeyDictionary, rule: str) -> bool:
    """Whether a rule of that name leaves every right output as it is, so that it explains more than its share."""

    def as_expected(oracle: Oracle, finding: Finding) -> bool:
        assert finding.expected is not None and finding.comparison is not None
        made = _kept(answers, oracle, finding.prepared.inputs)
        bad = compare(made, finding.expected, finding.comparison.limit, finding.row_size).bad_rows
        return _of_rows(finding.prepared.forms, bad) <= set(wrong)

    oracles = [oracle for oracle in lab.oracles if oracle.name == rule]
    seen = [finding for finding in failed if finding.verdict is not Verdict.NOT_WRITTEN]
    return any(all(as_expected(oracle, finding) for finding in seen) for oracle in oracles)


def _kept(answers: WeakIdKeyDictionary, oracle: Oracle, given: Inputs) -> torch.Tensor:
    first = next(value for value in given.values() if isinstance(value, torch.Tensor))
    of_case: dict[int, torch.Tensor] = answers.setdefault(first, {})
    if id(oracle) not in of_case:
        of_case[id(oracle)] = oracle.answer(given)
    return of_case[id(oracle)]


def _fact(finding: Finding, form: Form) -> Fact:
    assert finding.out is not None and finding.expected is not None and finding.comparison is not None
    comparison = finding.comparison
    given = f"case {finding.name}, {form.name}{_place(form, comparison.bad_rows)}"
    factor = _factor(finding)
    if factor is not None:
        return Fact(given=given, got=f"{factor:.4g} times the right numbers", expected="the numbers themselves")
    assert comparison.worst is not None
    cell = comparison.worst
    at = ", ".join(map(str, cell.index[: len(form.shape)]))
    got, want = (x if isinstance(x, str) else f"{x:.4g}" for x in (cell.got, cell.expected))
    return Fact(given=f"{given}, worst at [{at}]", got=got, expected=want)


def _factor(finding: Finding) -> float | None:
    """The one number that all wrong rows are off by; None where there is none."""
    assert finding.out is not None and finding.expected is not None and finding.comparison is not None
    columns = finding.out.shape[-1]
    got, want = (x.double().reshape(-1, columns)[list(finding.comparison.bad_rows)] for x in (finding.out, finding.expected))
    if not bool(torch.isfinite(got).all() & torch.isfinite(want).all()) or got.numel() < 2 * columns or columns == 1:
        return None
    factor = float((got * want).sum() / want.square().sum().clamp(min=1e-300))
    left = (got - factor * want).norm(dim=1) / (abs(factor) * want).norm(dim=1).clamp(min=1e-300)
    return factor if factor != 0 and float(left.max()) < NOISE * finding.comparison.limit else None


def _place(form: Form, bad: Sequence[int]) -> str:
    """ ", rows 3 to 7 of 20", ", head 1": the axes along which not all of it is wrong."""
    axes = dict(zip(("sequence", "head", "row"), form.shape[:3], strict=False))
    places = np.unravel_index(np.array(bad, dtype=np.int64), tuple(axes.values()))
    said = []
    for (axis, size), at in zip(axes.items(), places, strict=True):
        found = sorted(set(map(int, at)))
        if len(found) < size:
            run = found[-1] - found[0] == len(found) - 1
            which = f"{found[0]} to {found[-1]}" if run else ", ".join(map(str, found[:4])) + " …" * (len(found) > 4)
            said.append(f", {axis} {found[0]} of {size}" if len(found) == 1 else f", {axis}s {which} of {size}")
    return "".join(said)


def _are(names: Sequence[str]) -> str:
    return "are" if len(names) > 1 else "is"
