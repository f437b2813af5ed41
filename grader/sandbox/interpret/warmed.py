"""What `warmup` answers in the interpreter: a kernel that has been compiled, with figures that a GPU could have given.

Launchers ask for registers and shared memory before they choose a grid. Nothing is compiled here, so the figures are those of
an ordinary kernel; a right answer does not depend on them.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

REGISTERS = 64  # of a thread
SHARED_BYTES = 4096  # of a block
DEFAULTS = {"num_warps": 4, "num_stages": 3, "num_ctas": 1}


class WarmedKernel:
    """As Triton's CompiledKernel: to be asked, and to be launched by `kernel[grid](*all_arguments)`.

    Args:
        function: the kernel that was warmed up.
        options: what the warm-up said besides the kernel's own arguments.
    """

    n_regs = REGISTERS
    n_spills = 0
    n_max_threads = 1024

    def __init__(self, function: Any, options: dict[str, Any]) -> None:
        self._function = function
        self.name = function.fn.__name__
        self.metadata = types.SimpleNamespace(name=self.name, shared=SHARED_BYTES, **{**DEFAULTS, **options})

    def _init_handles(self) -> None:
        """A GPU's driver would load the binary now."""

    def __getitem__(self, grid: Any) -> Callable[..., Any]:
        def launch(*arguments: Any, stream: Any = None) -> Any:
            return self._function.run(*arguments, grid=grid, warmup=False)

        return launch
