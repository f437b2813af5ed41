"""A lab's edition changes with each file that a verdict hangs on, and with no other."""

import shutil

import pytest

from grader.course.edition import ROOT, edition

LAB = "lab08_split_kv"


@pytest.fixture
def house(tmp_path):
    for folder in ("labs", "grader/judge/verdict"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


@pytest.mark.parametrize(
    "file",
    [
        f"labs/{LAB}/lab.py",
        f"labs/{LAB}/oracles.py",
        f"labs/{LAB}/solution.py",
        f"labs/{LAB}/spec.md",
        "labs/decode_cases.py",
        "labs/habits.py",
        "grader/judge/verdict/gate.py",
    ],
)
def test_it_changes_with(house, file):
    before = edition(LAB, house)
    with (house / file).open("a", encoding="utf-8") as opened:
        opened.write("\n")

    assert edition(LAB, house) != before


def test_it_changes_with_a_file_that_is_added_or_renamed(house):
    seen = {edition(LAB, house)}
    (house / "labs" / LAB / "new.py").write_text("")
    seen.add(edition(LAB, house))
    (house / "labs" / LAB / "new.py").rename(house / "labs" / LAB / "newer.py")
    seen.add(edition(LAB, house))

    assert len(seen) == 3


def test_it_is_kept_by_another_lab_and_by_a_file_written_as_it_was(house):
    before = edition(LAB, house)
    (house / "labs" / "lab02_safe_softmax" / "lab.py").write_text("")
    here = house / "labs" / LAB / "lab.py"
    here.write_bytes(here.read_bytes())
    (house / "labs" / LAB / "__pycache__").mkdir()
    (house / "labs" / LAB / "__pycache__" / "lab.pyc").write_text("")

    assert edition(LAB, house) == before
    assert len(before) == 16


def test_a_lab_without_a_folder_has_none(house):
    assert edition("doubling", house) == ""
