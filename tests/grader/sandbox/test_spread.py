"""A tensor spread over gigabytes of addresses is the same tensor, and takes the memory of its rows."""

import torch

from grader.judge.case.inputs import spread_strides
from grader.sandbox.case.lent import spread_out


def resident_mib():
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024


def test_a_spread_tensor_is_the_same_and_takes_little_memory():
    tensor = torch.arange(3 * 2 * 20 * 32, dtype=torch.float16).view(3, 2, 20, 32)
    strides = spread_strides(tuple(tensor.shape))
    before = resident_mib()

    spread = spread_out(tensor, strides)

    assert torch.equal(spread, tensor)
    assert spread.stride() == strides
    assert spread.stride(0) * 2 >= 1 << 31
    assert resident_mib() - before < 64
