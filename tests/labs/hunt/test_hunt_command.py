"""`python -m labs hunt`: the tasks are listed, and judged in full they are as they must be, or it is said which are not."""

import dataclasses

import pytest

from labs import __main__ as command_line
from labs import load
from labs.check import hunt
from labs.check.grading import Result
from labs.hunt import told
from labs.hunt.task import tasks

LAB = "lab00_roof"


class Judged:
    """A sweep that says of each answer what its folder promises; `said` changes what is said of a file."""

    results: list[Result]
    said: dict[str, dict] = {}

    def __init__(self, plan, *, earlier, say):
        self.results, self.left, self.elapsed_s = list(earlier), [], 0.0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def run(self, answers):
        self.results += [self._result(answer) for answer in answers]

    def _result(self, answer):
        known = told.told().get(f"{answer.lab}/{answer.file.removeprefix('mistakes/')}")
        result = Result(lab=answer.lab, file=answer.file, kind=answer.kind, verdict="passed", found_by="Submit")
        if known is not None:
            result = dataclasses.replace(
                result, verdict=known.verdict, sentence=known.sentence, failing=known.failing, found_by="Check"
            )
        return dataclasses.replace(result, **self.said.get(answer.file, {}))


@pytest.fixture
def judged(monkeypatch):
    monkeypatch.setattr(hunt, "Sweep", Judged)
    monkeypatch.setattr(Judged, "said", {})
    return Judged


def test_tasks_are_listed_and_what_is_none_with_its_reason(capsys):
    assert command_line.main(["hunt", "0", "1"]) == 0

    *lines, last = capsys.readouterr().out.splitlines()
    count = sum(task.lab in (LAB, "lab01_scores") for task in tasks().values())
    assert last.startswith(f"{count} tasks; by level: ")
    assert len(lines) == count + 1
    assert "softmax_of_the_scores" in lines[-1] and lines[-1].endswith("no edit of a right answer")


def test_all_as_they_must_be(capsys, judged):
    assert command_line.main(["hunt", "--check", "0"]) == 0

    assert capsys.readouterr().out.endswith("13 mistakes judged, 0 promises not kept\n")


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ({"broken": "its verdict is passed, not wrong_answer"}, "its verdict is passed, not wrong_answer"),
        ({"failing": ("no such case",)}, "told.json says "),
        ({"found_by": "Submit"}, "no visible case"),
    ],
)
def test_what_is_not_as_it_must_be_is_said(capsys, judged, said, sentence):
    judged.said["mistakes/shifted_by_one"] = said

    assert command_line.main(["hunt", "--check", "0"]) == 1

    unexpected = capsys.readouterr().err
    assert f"UNEXPECTED {LAB}/" in unexpected and sentence in unexpected


def test_a_right_answer_that_a_mend_leads_to_is_judged_too(capsys, judged):
    judged.said["honest/starter_completed.py"] = {"broken": "a right answer gets wrong_answer"}

    assert command_line.main(["hunt", "--check", "0"]) == 1
    assert "a right answer gets wrong_answer" in capsys.readouterr().err


def test_what_was_judged_is_written(judged, monkeypatch, tmp_path):
    written = []
    monkeypatch.setattr(hunt, "keep", lambda found: written.extend(found))
    mistake = load(LAB).mistakes[0]
    judged.said[f"mistakes/{mistake.name}"] = {"sentence": "Another one."}

    command_line.main(["hunt", "--check", "--write", "0"])

    assert dict(written)[f"{LAB}/{mistake.name}"].sentence == "Another one."
    assert dict(written)[f"{LAB}/{mistake.name}"].fingerprint == told.fingerprint(mistake.source)
