"""The hunt's tasks: each is a mistake whose edit is the only difference from a right answer, and its key is true."""

import ast
import dataclasses
import difflib
import itertools

import pytest

from grader.report import Verdict
from labs import lab_ids, load
from labs.hunt import told
from labs.hunt.kinds import KINDS, kind_of
from labs.hunt.task import CHOICES, HARDEST, tasks, why_none
from labs.hunt.told import Told

FEWEST = 150
TASKS = tuple(tasks().values())


def of_lab(lab_id):
    return [task for task in TASKS if task.lab == lab_id]


def test_there_are_enough_of_every_level_and_lab():
    assert len(TASKS) >= FEWEST
    assert {task.level for task in TASKS} == set(range(1, HARDEST + 1))
    assert len({task.lab for task in TASKS}) >= 12


@pytest.mark.parametrize("lab_id", lab_ids())
def test_the_edit_is_the_only_difference_and_its_lines_are_the_key(lab_id):
    for task in of_lab(lab_id):
        base = (load(lab_id).path / task.mistake.base).read_text(encoding="utf-8")
        assert task.mended == base, task.mistake.name
        differing = set()
        matcher = difflib.SequenceMatcher(None, base.splitlines(), task.source.splitlines(), autojunk=False)
        for kind, _, _, first, after in matcher.get_opcodes():
            differing |= set() if kind == "equal" else set(range(first + 1, after + 1)) or {first + 1}
        assert differing <= task.lines, task.mistake.name
        assert len(task.lines) <= 12 and max(task.lines) <= task.source.count("\n"), task.mistake.name
        ast.parse(task.source)


@pytest.mark.parametrize("lab_id", lab_ids())
def test_what_is_told_is_what_the_mistake_promises(lab_id):
    """The promise itself is held by tests/labs/test_every_lab.py, which judges every mistake."""
    visible = [case.name for case in load(lab_id).lab.cases if case.group == "visible" and "cpu" in case.devices]
    for task in of_lab(lab_id):
        assert task.told.verdict == task.mistake.verdict in set(Verdict) - {Verdict.PASSED}, task.mistake.name
        assert task.mistake.diagnosis in task.told.sentence, task.mistake.name
        assert task.shown and {case.name for case in (*task.shown, *task.hidden)} == set(visible), task.mistake.name


def test_nothing_that_was_judged_has_changed_since():
    """Else a task would be gone without a word: python -m labs hunt --check --write judges it anew."""
    there = {f"{lab_id}/{each.name}": told.fingerprint(each.source) for lab_id in lab_ids() for each in load(lab_id).mistakes}

    assert {name: one.fingerprint for name, one in told.told().items()}.items() <= there.items()


def test_a_task_goes_by_an_id_that_says_nothing():
    assert all(len(id) == 8 and int(id, 16) >= 0 and task.id == id for id, task in tasks().items())


def test_the_choices_hold_the_kind_among_others_of_its_lab():
    places = set()
    for task in TASKS:
        assert len(set(task.choices)) == CHOICES
        places.add(task.choices.index(task.kind))
        assert task.choices == dataclasses.replace(task).choices
    assert places == set(range(CHOICES))


def test_every_kind_names_mistakes_that_there_are():
    there = {name for lab_id in lab_ids() for each in load(lab_id).mistakes for name in (each.name, f"{lab_id}/{each.name}")}
    named = [name for kind in KINDS for name in kind.mistakes.split()]

    assert set(named) <= there
    assert len(set(named)) == len(named)
    assert {kind.name for kind in KINDS} == {task.kind.name for task in TASKS}


def test_a_name_that_means_two_things_is_told_apart_by_its_lab():
    assert kind_of("lab06_causal", "one_key_too_many").name == "sight"
    assert kind_of("lab07_decode", "one_key_too_many").name == "mask"
    assert kind_of("lab06_causal", "no such") is None


def test_it_is_harder_far_from_the_symptom_in_a_late_lab_and_where_few_cases_fail():
    task = next(task for task in TASKS if task.lab == "lab03_online_softmax" and task.shown and len(task.hidden) > 1)
    more = (*task.shown, *task.hidden)

    scores = [
        dataclasses.replace(task, distance=0, labs=0, shown=more, hidden=()).score,
        dataclasses.replace(task, distance=9, labs=0, shown=more, hidden=()).score,
        dataclasses.replace(task, distance=9, labs=5, shown=more, hidden=()).score,
        dataclasses.replace(task, distance=9, labs=5, shown=more[:1], hidden=more[1:]).score,
    ]
    assert scores[0] == 0.0
    assert all(easy < hard for easy, hard in itertools.pairwise(scores))


def test_a_mistake_that_was_changed_since_it_was_judged_is_no_task():
    mistake = next(each for each in load("lab00_roof").mistakes if each.changes)

    assert why_none("lab00_roof", mistake) == ""
    changed = dataclasses.replace(mistake, source=mistake.source + "\n")
    assert why_none("lab00_roof", changed) == "not judged as it stands: run python -m labs hunt --check --write"
    assert why_none("lab00_roof", dataclasses.replace(mistake, name="new")).startswith("under no kind")
    assert why_none("lab00_roof", dataclasses.replace(mistake, changes=())) == "no edit of a right answer"


def test_what_was_judged_is_kept_beside_what_is_kept_of_others(tmp_path):
    place = tmp_path / "told.json"
    one = Told(fingerprint="f", verdict="wrong_answer", sentence="Maßstab −inf.", failing=("a", "b"))

    told.keep([("lab1/one", one)], place)
    told.keep([("lab0/two", one), ("lab1/one", dataclasses.replace(one, failing=()))], place)

    lines = place.read_text(encoding="utf-8").splitlines()
    assert [line[:10] for line in lines[1:-1]] == ['"lab0/two"', '"lab1/one"']
    assert "−inf" in lines[1] and '"failing": []' in lines[2]
