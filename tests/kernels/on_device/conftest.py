"""The numbers of every kernel, checked where kernels can run: on a GPU, or on the CPU in Triton's interpreter.

The interpreter is chosen when triton is first imported, so it gets a process of its own: `test_kernels_interpreted.py`.
"""

import pytest
import torch

from kernels.checks import interpreting

# PyTorch says so where autograd's own thread multiplies first, and makes the context itself.
CUBLAS_IN_A_NEW_THREAD = pytest.mark.filterwarnings("ignore:Attempting to run cuBLAS, but there was no current CUDA context")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    if not interpreting():
        for item in items:
            if "on_device" in item.path.parts:
                item.add_marker(pytest.mark.gpu)
                item.add_marker(CUBLAS_IN_A_NEW_THREAD)


@pytest.fixture(scope="session", autouse=True)
def patched_once():
    """Stock Triton patches its language around every launch, which takes half of the time; the numbers stay its own."""
    if interpreting():
        from grader.sandbox.interpret import interpreter  # which is not for a process that compiles

        interpreter.patch_language_for_good()


@pytest.fixture
def device() -> str:
    return "cpu" if interpreting() else "cuda"


@pytest.fixture
def draw(device):
    """Normal numbers from a generator of the test's own."""
    generator = torch.Generator().manual_seed(20)

    def normal(*shape, dtype=torch.float32):
        return torch.randn(*shape, generator=generator).to(device, dtype)

    return normal


@pytest.fixture(autouse=True)
def poisoned_memory(monkeypatch):
    """What torch.empty returns is NaN: a kernel that leaves a value unwritten is seen."""
    empty = torch.empty

    def poisoned(*args, **kwargs):
        tensor = empty(*args, **kwargs)
        return tensor.fill_(torch.nan) if tensor.is_floating_point() else tensor

    monkeypatch.setattr(torch, "empty", poisoned)
