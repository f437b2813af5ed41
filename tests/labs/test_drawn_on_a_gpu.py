"""What a lab draws for a GPU is drawn there: no generator of the CPU's makes tensors there, and no tensors of two devices meet.

Without a GPU: torch's default device is a pretended one, whose tensors are of a class of their own.
"""

import math

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._device import _device_constructors

from grader.judge.case import inputs
from labs import lab_ids, load

GPU = torch.device("cuda")
SEED = bytes(range(32))
MOVES = {torch.Tensor.cpu, torch.Tensor.to, torch.Tensor.numpy, torch.Tensor.tolist, torch.Tensor.item}


def tensors(values):
    for value in values:
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from tensors(value)


class There(torch.Tensor):
    """A tensor of the pretended device."""

    device = GPU

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function not in MOVES:
            here = [each for each in tensors([*args, *kwargs.values()]) if type(each) is torch.Tensor and each.dim()]
            assert not here, f"{function} is given tensors of two devices"
        return super().__torch_function__(function, types, args, kwargs)


class Pretended(TorchFunctionMode):
    """The default device: whatever makes a tensor and names no device makes it there, with that device's generator."""

    generator = None

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        made_there = function in _device_constructors() and kwargs.get("device") in (None, GPU)
        if made_there:
            kwargs.pop("device", None)
            assert kwargs.get("generator", self.generator) is self.generator, f"{function} is given a generator of the CPU's"
        elif function is torch.Tensor.to and GPU in args:
            made_there, args = True, (*(each for each in args if each is not GPU), torch.device("cpu"))
        made = function(*args, **kwargs)
        return made.as_subclass(There) if made_there else made


class Torch:
    """The module as `prepare` sees it, with a GPU."""

    def __init__(self):
        self._gpu = Pretended()

    def __getattr__(self, name):
        return getattr(torch, name)

    def device(self, name):
        return self._gpu

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
    with Pretended(), pytest.raises(AssertionError, match="a generator of the CPU's"):
        torch.randperm(3, generator=torch.Generator())
