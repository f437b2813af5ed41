"""`python -m labs`: a mistake is printed as the file it makes, and the exit code says whether all is as promised."""

import dataclasses

import pytest
import torch

from labs import __main__ as command_line
from labs import load, named
from labs.check import command
from labs.check.grading import Result


def test_a_mistake_is_printed_as_a_file_and_explained_beside(capsys):
    mistake = next(each for each in load("lab10_nvfp4_kv").mistakes if each.name == "nibble_order")

    assert command_line.main(["show", "lab10", "nibble_order"]) == 0

    printed = capsys.readouterr()
    assert printed.out == mistake.source
    assert f"{mistake.base}, line {mistake.changes[0].first}: {mistake.what}" in printed.err
    assert mistake.verdict in printed.err and mistake.diagnosis in printed.err


def test_the_mistakes_of_a_lab_are_listed(capsys):
    assert command_line.main(["list", "4"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines] == [each.name for each in load("lab04_naive_attention").mistakes]
    assert next(line for line in lines if "torch_matmul" in line).split()[2:6] == ["a", "file", "of", "its"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["show", "lab10", "no_such"], "lab10_nvfp4_kv has no mistake 'no_such': expected one of max_not_subtracted,"),
        (["list", "lab77"], "there is no lab 'lab77': expected one of lab00_roof,"),
        (["check", "77"], "there is no lab '77'"),
    ],
)
def test_what_is_not_there_is_said(capsys, arguments, said):
    assert command_line.main(arguments) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--processes", "0"], "'0' is no number of processes: expected 1 or more"),
        (["--out", "no_such_folder/x.md"], "no_such_folder is no folder: expected one to write x.md into"),
        (["--after", "no_such_file.json"], "no_such_file.json holds no results of a check"),
        (["--device", "cuda"], "this machine has no GPU that torch can use"),
    ],
)
def test_an_option_that_cannot_be_is_refused_before_anything_is_graded(capsys, monkeypatch, options, said):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(command.Sweep, "run", None)

    try:
        code = command_line.main(["check", "0", *options])
    except SystemExit as ended:
        code = ended.code

    assert code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("text", ["lab02_safe_softmax", "lab02", "2", "02"])
def test_a_lab_is_named_by_id_first_part_or_number(text):
    assert named(text) == "lab02_safe_softmax"


@pytest.fixture
def swept(monkeypatch):
    """Every answer is as promised, save for the files that the test adds here, with their reason."""
    broken = {}

    def run(self, answers):
        for answer in answers:
            told = {"lab": answer.lab, "file": answer.file, "kind": answer.kind, "verdict": "passed"}
            self.results.append(Result(**told, broken=broken.get(answer.file, "")))

    monkeypatch.setattr(command.Sweep, "run", run)
    return broken


def test_the_exit_code_says_whether_every_answer_is_as_promised(capsys, swept):
    assert command_line.main(["check", "0"]) == 0
    assert "UNEXPECTED" not in capsys.readouterr().out

    swept["solution.py"] = "the solution earns 1 of 2 points (hidden)"
    assert command_line.main(["check", "0"]) == 1
    assert "UNEXPECTED lab00_roof/solution.py: the solution earns 1 of 2 points (hidden)" in capsys.readouterr().out


def test_an_interrupt_is_no_traceback(capsys, monkeypatch):
    def interrupted(self, answers):
        raise KeyboardInterrupt

    monkeypatch.setattr(command.Sweep, "run", interrupted)

    assert command_line.main(["check", "0"]) == 1
    assert capsys.readouterr().err == "stopped\n"


def test_what_was_left_is_not_as_promised(monkeypatch):
    monkeypatch.setattr(command.Sweep, "run", lambda self, answers: self.left.append(("right", answers[0])))

    assert command_line.main(["check", "0"]) == 1


def test_a_table_and_the_results_are_written(tmp_path, swept):
    arguments = ["check", "0", "1", "--only", "solution", "--out", str(tmp_path / "t.md"), "--json", str(tmp_path / "t.json")]

    assert command_line.main(arguments) == 0

    assert "| lab01_scores | 1 | 1 | 0 | 0 | 0 |" in (tmp_path / "t.md").read_text(encoding="utf-8")
    results = command.kept_results(tmp_path / "t.json")
    assert [dataclasses.astuple(result)[:2] for result in results] == [
        ("lab00_roof", "solution.py"),
        ("lab01_scores", "solution.py"),
    ]
