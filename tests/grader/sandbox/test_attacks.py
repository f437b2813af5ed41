"""Every attack is stopped by the walls: as root, whose sessions drop to another user, and as an ordinary user."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from attacks import Attack, load_all
from attacks.identities import Unavailable, prefix

RANGE = Path(__file__).parent / "attacks" / "firing_range.py"
ATTACKS = load_all()
TELLING = {name: attack for name, attack in ATTACKS.items() if attack.tells_walls_apart}
IDENTITIES = ("root", "ordinary")
LONGEST_S = 20.0  # of one attack, on a machine that does other things besides


def fired(identity, **arguments):
    """What came of the attacks, by name: one outcome per kind of session."""
    try:
        command = [*prefix(identity), sys.executable, "-B", str(RANGE), json.dumps(arguments)]
    except Unavailable as reason:
        pytest.skip(str(reason))
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-2000:]
    outcomes = {}
    for line in done.stdout.splitlines():
        outcome = json.loads(line)
        outcomes.setdefault(outcome["attack"], []).append(outcome)
    return outcomes


@pytest.fixture(scope="module", params=IDENTITIES)
def outcomes(request):
    return fired(request.param, kinds=["interpret", "record"], without=[], only=list(ATTACKS))


@pytest.mark.slow
@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_attack_is_stopped(attack: Attack, outcomes):
    assert [outcome["kind"] for outcome in outcomes[attack.name]] == list(attack.kinds)
    for outcome in outcomes[attack.name]:
        assert not outcome["through"], outcome
        assert outcome["reason"] in attack.ends, outcome
        assert outcome["survivors"] == 0, outcome
        assert not outcome["scratch_left"], outcome
        assert outcome["duration_s"] < LONGEST_S, outcome


@pytest.fixture(scope="module", params=["landlock", "seccomp"])
def outcomes_without(request):
    identity = "root" if os.getuid() == 0 else "ordinary"
    return request.param, fired(identity, kinds=["record"], without=[request.param], only=list(TELLING))


@pytest.mark.slow
@pytest.mark.parametrize("attack", TELLING.values(), ids=TELLING)
def test_attack_gets_through_without_its_wall(attack: Attack, outcomes_without):
    """Without one wall, exactly those attacks succeed that this wall alone stops: so the attacks bite, and no wall is idle."""
    wall, outcomes = outcomes_without

    (outcome,) = outcomes[attack.name]

    assert outcome["through"] == (wall in attack.through_without), outcome


def test_both_walls_are_needed():
    alone = {wall: {name for name, each in ATTACKS.items() if wall in each.through_without} for wall in ("landlock", "seccomp")}

    assert len(ATTACKS) >= 79
    assert len(alone["landlock"]) >= 10
    assert len(alone["seccomp"]) >= 10
    assert not alone["landlock"] & alone["seccomp"]
