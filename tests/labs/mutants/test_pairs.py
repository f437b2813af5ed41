"""Two mistakes in one kernel: what is said is true of one of them, or of both. `python -m labs mutate --pairs` tries many."""

import pytest

from labs import lab_ids, load
from labs.mutants.making import chosen
from labs.mutants.pairs import named_neither, pairs
from labs.mutants.trial import Tried, tried

LABS = ("lab02_safe_softmax", "lab05_flash_attention", "lab07_decode")
TRIED = 1  # of each


@pytest.fixture(scope="module")
def sandbox(judge):
    return judge._sandbox


def test_there_are_thirty_pairs_and_each_has_the_edits_of_both():
    made = [pair for lab_id in lab_ids() for pair in pairs(load(lab_id))]
    by_name = {(lab_id, each.name): each for lab_id in lab_ids() for each in load(lab_id).mistakes}

    assert len(made) >= 30
    for pair in made:
        lines = pair.source.splitlines()
        for name in (pair.old, pair.new):
            for change in by_name[pair.lab, name].changes:
                assert all(line in lines for line in change.wrong.splitlines())


@pytest.mark.parametrize("lab_id", LABS)
def test_no_pair_is_named_what_it_is_not(sandbox, lab_id):
    for pair in chosen(pairs(load(lab_id)), TRIED, seed=1):
        found = tried(sandbox, pair, told=True)

        assert not found.survived
        assert not named_neither(found), found


def test_a_name_that_neither_mistake_promises_is_seen():
    first, second = load(LABS[0]).mistakes[:2]
    known = {"name": "n", "lab": LABS[0], "base": "solution.py", "operator": "o", "line": 1, "verdict": "wrong_answer"}

    def told(sentence):
        return Tried(**known, old=first.name, new=second.name, said="a_name", sentence=sentence)

    assert named_neither(told("Something else is wrong."))
    assert not named_neither(told(f"It is so: {second.diagnosis}."))
