"""A pretended GPU of torch's: where a lab draws there, and where findings are that a diagnosis is made of, without a GPU.

Its tensors are of a class of their own. Two that meet must be of one device, but for scalars and copies, as on a real one.
"""

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._device import _device_constructors

GPU = torch.device("cuda")
CPU = torch.device("cpu")
MOVES = {torch.Tensor.cpu, torch.Tensor.to, torch.Tensor.numpy, torch.Tensor.tolist, torch.Tensor.item, torch.Tensor.copy_}


def _tensors(values):
    for value in values:
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from _tensors(value)


class There(torch.Tensor):
    """A tensor of the pretended device."""

    device = GPU

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function not in MOVES:
            here = [each for each in _tensors([*args, *kwargs.values()]) if type(each) is torch.Tensor and each.dim()]
            assert not here, f"{function} is given tensors of two devices"
        made = super().__torch_function__(function, types, args, kwargs)
        comes_here = function is torch.Tensor.cpu or (
            function is torch.Tensor.to and {"cpu", CPU} & {*args[1:], *kwargs.values()}
        )
        return made.as_subclass(torch.Tensor) if comes_here else made


class Pretended(TorchFunctionMode):
    """What makes a tensor makes it there if it names that device, or none and this is the `default`; with its own generator."""

    def __init__(self, *, default):
        super().__init__()
        self.default = default
        self.generator = None

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        made_there = function in _device_constructors() and kwargs.get("device", GPU if self.default else CPU) == GPU
        if made_there:
            kwargs.pop("device", None)
            assert kwargs.get("generator", self.generator) is self.generator, f"{function} is given a generator of the CPU's"
        elif function is torch.Tensor.to and GPU in args:
            made_there, args = True, (*(each for each in args if each is not GPU), CPU)
        made = function(*args, **kwargs)
        return made.as_subclass(There) if made_there else made


def moved(value):
    """Tensors and what is made of them, there."""
    if isinstance(value, torch.Tensor):
        return value.as_subclass(There)
    return {name: moved(each) for name, each in value.items()} if isinstance(value, dict) else value
