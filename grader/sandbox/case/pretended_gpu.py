"""A submission may ask for its GPU; it is answered with the target's facts. There is no GPU in this process.

`torch.cuda` and Triton's driver answer here as they would on the target; anything else of `torch.cuda` fails as it does on
a machine without a GPU.
"""

from __future__ import annotations

import contextlib
import types
from collections.abc import Callable, Sequence
from typing import Any

import torch
import triton
import triton.compiler.compiler as compiler
from triton.backends.compiler import GPUTarget
from triton.backends.driver import DriverBase

from grader.sandbox.record.gpus import Gpu

DEVICE = torch.device("cuda", 0)


class PretendedDriver(DriverBase):
    """Triton's driver for a named GPU that is not there. It launches nothing: `launcher_cls` says what happens instead."""

    launcher_cls: Any = None
    utils_cls: Any = None  # stands in front of `_Utils` where it is set

    def __init__(self, gpu: Gpu) -> None:  # the base class would look for a real device
        self.gpu = gpu
        answers = _Utils(gpu)
        self.utils = answers if self.utils_cls is None else self.utils_cls(answers)

    @classmethod
    def is_active(cls) -> bool:
        return True

    def get_current_target(self) -> GPUTarget:
        return GPUTarget("cuda", self.gpu.capability, 32)

    def get_active_torch_device(self) -> torch.device:
        return DEVICE

    def get_device_interface(self) -> Any:
        return torch.cuda

    def get_current_device(self) -> int:
        return 0

    def set_current_device(self, device: int) -> None:
        pass

    def get_current_stream(self, device: int) -> int:
        return 0

    def get_device_capability(self, device: int = 0) -> tuple[int, int]:
        return divmod(self.gpu.capability, 10)

    def map_python_to_cpp_type(self, ty: str) -> str:
        raise NotImplementedError("no launcher is compiled here")

    def get_benchmarker(self) -> Callable[..., Sequence[float]]:
        """Runs what it should time once, and calls every configuration equally fast."""

        def benchmark(kernel_call: Callable[[], Any], quantiles: Sequence[float] = (0.5, 0.2, 0.8), **_: Any) -> list[float]:
            kernel_call()
            return [1.0 for _ in quantiles]

        return benchmark

    def get_empty_cache_for_benchmark(self) -> Any:
        return None

    def clear_cache(self, cache: Any) -> None:
        pass


class _Utils:
    """What Triton asks the driver's C part for."""

    def __init__(self, gpu: Gpu) -> None:
        self._gpu = gpu

    def get_device_properties(self, device: int) -> dict[str, int]:
        gpu = self._gpu
        return {
            "max_shared_mem": gpu.shared_per_block,
            "max_num_regs": gpu.registers_per_sm,
            "multiprocessor_count": gpu.multiprocessors,
            "warpSize": 32,
        }

    def load_binary(self, name: str, kernel: bytes, shared: int, device: int) -> tuple[int, int, int, int, int]:
        """module, function, registers, spills, most threads a block: nothing is loaded, so nothing is known."""
        return 0, 1, 0, 0, 1024


def pretend(gpu: Gpu) -> None:
    """Answer for `gpu` from now on, in this process."""
    triton.runtime.driver.set_active(PretendedDriver(gpu))
    compiler.max_shared_mem.cache_clear()  # it would keep the answer of an earlier GPU
    major, minor = divmod(gpu.capability, 10)
    properties = types.SimpleNamespace(
        name=gpu.name,
        major=major,
        minor=minor,
        multi_processor_count=gpu.multiprocessors,
        total_memory=gpu.memory_bytes,
        L2_cache_size=gpu.l2_bytes,
        warp_size=32,
        max_threads_per_block=1024,
        max_threads_per_multi_processor=gpu.warps_per_sm * 32,
        regs_per_multiprocessor=gpu.registers_per_sm,
        shared_memory_per_block=48 * 1024,
        shared_memory_per_block_optin=gpu.shared_per_block,
        shared_memory_per_multiprocessor=gpu.shared_per_sm,
        is_integrated=0,
        is_multi_gpu_board=0,
    )
    answers: dict[str, Callable[..., Any]] = {
        "is_available": lambda: True,
        "is_initialized": lambda: True,
        "device_count": lambda: 1,
        "current_device": lambda: 0,
        "set_device": lambda device: None,
        "synchronize": lambda device=None: None,
        "get_device_properties": lambda device=None: properties,
        "get_device_capability": lambda device=None: (major, minor),
        "get_device_name": lambda device=None: gpu.name,
        "is_bf16_supported": lambda *args, **kwargs: major >= 8,
        "device": lambda device: contextlib.nullcontext(),
    }
    for name, answer in answers.items():
        setattr(torch.cuda, name, answer)
