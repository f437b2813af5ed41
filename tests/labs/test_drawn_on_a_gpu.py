"""What a lab draws for a GPU is drawn there, and what is made of it; of a case there the same is said as of one on a CPU."""

import dataclasses
import logging
import math
import threading
from types import SimpleNamespace

import pytest
import torch
from interpreted import Interpreted, attempt
from pretended_device import Pretended, There, moved

from grader.judge.case import inputs
from grader.judge.cpu import watching
from grader.judge.cpu.attempt import CpuAttempt
from labs import lab_ids, load

SEED = bytes(range(32))


class Torch:
    """The module as `prepare` sees it, with a GPU."""

    def __init__(self):
        self._gpu = Pretended(default=True)

    def __getattr__(self, name):
        return getattr(torch, name)

    def device(self, name):
        return self._gpu if name == "cuda" else torch.device(name)  # other threads of this process prepare cases, too

    def Generator(self, device="cpu"):  # noqa: N802
        generator = torch.Generator()
        if device != "cpu":
            self._gpu.generator = generator
        return generator


def _cells(case):
    return math.prod(size if isinstance(size, int) else 64 for size in case.sizes.values())


@pytest.mark.parametrize("lab_id", lab_ids())
def test_every_case_and_its_answer_are_there(lab_id, monkeypatch):
    module = Torch()
    monkeypatch.setattr(inputs, "torch", module)
    lab = load(lab_id).lab

    for case in lab.cases:
        if "cpu" in case.devices:
            drawn = inputs.prepare(lab, case, SEED, device="cuda")
            assert all(isinstance(tensor, There) for tensor in drawn.tensors.values()), case.name
            with module.device("cuda"):
                for of in (lab.expected, lab.score_scale, lab.ideal_bytes, lab.sight, lab.row_size or lab.expected):
                    of(drawn.inputs)


@pytest.mark.parametrize("lab_id", lab_ids())
def test_what_a_wrong_kernel_would_answer_is_there(lab_id, monkeypatch):
    module = Torch()
    monkeypatch.setattr(inputs, "torch", module)
    lab = load(lab_id).lab
    small = min((case for case in lab.cases if case.group == "visible" and "cpu" in case.devices), key=_cells)
    drawn = inputs.prepare(lab, small, SEED, device="cuda")

    with module.device("cuda"):
        for oracle in lab.oracles:
            oracle.answer(drawn.inputs)


def test_a_generator_of_the_cpus_is_found_there():
    with Pretended(default=True), pytest.raises(AssertionError, match="a generator of the CPU's"):
        torch.randperm(3, generator=torch.Generator())


class Watched(Interpreted):
    def _watch(self, cases, took_s):
        return CpuAttempt._watch(self, cases, took_s)


class MovedThere(Watched):
    """An attempt whose cases are judged there, as a GPU's are; they run here."""

    def grade(self):
        with Pretended(default=False):
            return super().grade()

    def _where_tensors_are(self):
        return Pretended(default=True)

    def _judge(self, prepared, outcome):
        prepared = dataclasses.replace(prepared, inputs=moved(prepared.inputs))
        snapshots = tuple(
            SimpleNamespace(tensor=moved(each.tensor), unwritten=moved(each.unwritten), overrun=each.overrun)
            for each in outcome.snapshots
        )
        return super()._judge(prepared, dataclasses.replace(outcome, snapshots=snapshots))


@pytest.mark.parametrize(
    ("lab_id", "mistake"),
    [
        ("lab12_backward", "scores_not_scaled_again"),
        ("lab06_causal", "acc_not_rescaled"),
        ("lab07_decode", "acc_in_fp16"),  # its NaN is followed in a case of ours, which was drawn here
    ],
)
def test_what_is_said_there_is_what_is_said_here(lab_id, mistake, judge, monkeypatch, caplog):
    folder = load(lab_id)
    source = next(each.source for each in folder.mistakes if each.name == mistake).encode()
    for limit in ("SHARE", "LONGEST_S"):  # of the time that an attempt takes: it is watched to its end
        monkeypatch.setattr(watching, limit, 60.0)
    caplog.set_level(logging.WARNING)

    here, there = (attempt(kind, judge, folder, source, mode="submit", seed=SEED) for kind in (Watched, MovedThere))

    assert (there.verdict, there.diagnosis, there.facts) == (here.verdict, here.diagnosis, here.facts)
    assert there.trace["lines"] == here.trace["lines"]
    assert not [record for record in caplog.records if record.thread == threading.get_ident()]  # others grade beside this one
