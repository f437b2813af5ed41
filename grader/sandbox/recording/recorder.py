"""Compiles a submission for a GPU that is not there and writes its launches down instead of making them.

The entry function is called on tensors with nothing in them; Triton (and Gluon) compile for the named target, of which only
ptxas is executed, and hand every launch to `driver`. What comes out is a `Record` (`grader.sandbox.record`). Works without a
GPU, a C compiler or a launcher stub. Of an autotuned kernel `configurations` are recorded; what reads values on the host is
refused (`refusals`), since there are none.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import Any

import triton
from triton.runtime.autotuner import Autotuner
from triton.runtime.cache import triton_key

from grader.sandbox.case import current_case
from grader.sandbox.case.address_map import AddressMap
from grader.sandbox.case.lent import region_of, stand_in
from grader.sandbox.case.pretended_gpu import PretendedDriver
from grader.sandbox.case.refusals import HostRules, refuse_in_language
from grader.sandbox.protocol import LentCase
from grader.sandbox.record import format as record
from grader.sandbox.record.gpus import Gpu
from grader.sandbox.recording import configurations
from grader.sandbox.recording.driver import Launcher, Utils, keep_ptx
from grader.sandbox.recording.launch_book import LaunchBook


class RecordedRun:
    """Cases of one submission; binaries are compiled once and kept over the cases.

    Args:
        gpu: the target.
        forbidden: names of triton.language that are refused when a kernel uses them.
    """

    def __init__(self, *, gpu: Gpu, forbidden: tuple[str, ...]) -> None:
        self._gpu = gpu
        self._rules: HostRules | None = None
        _install()
        for name in forbidden:
            refuse_in_language(name)

    @property
    def first_fault(self) -> Exception | None:
        """The first refusal of the current case, even where the submission caught it."""
        return None if self._rules is None else self._rules.first_refusal

    def run(self, entry: Callable[..., Any], case: LentCase) -> bytes:
        """Call the entry function on stand-ins of the lent tensors.

        Returns:
            The launch record.
        """
        addresses = AddressMap()
        book = LaunchBook(addresses, turn=case.turn, compile_with=case.compile_with)
        rules = HostRules(addresses, scratch_limit_bytes=case.scratch_limit_bytes, compute=False, on_fill=book.fill)
        self._rules = book.rules = rules
        arguments: dict[str, Any] = dict(case.scalars)
        forms = []
        for lent in case.tensors:
            tensor = arguments[lent.name] = stand_in(lent)
            if tensor.numel():
                addresses.add(region_of(lent.name, tensor, writable=lent.buffer == "out"))
            forms.append(record.Tensor(name=lent.name, shape=lent.shape, strides=lent.strides, dtype=lent.dtype))
        book.arguments = {form.name for form in forms}
        with current_case.running(rules, book):
            entry(**arguments)
        if rules.first_refusal is not None:
            raise rules.first_refusal
        written = book.finished(target=self._gpu.target, tensors=tuple(forms))
        data = record.dump(written)
        if len(data) > record.RECORD_LIMIT:
            raise rules.refuse(f"the compiled kernels have {len(data):,} bytes; {record.RECORD_LIMIT:,} are allowed.")
        return data


@functools.cache
def _install() -> None:
    """Patch Triton, once a process."""
    if triton.knobs.runtime.interpret:
        raise RuntimeError("triton must be imported without TRITON_INTERPRET")
    PretendedDriver.launcher_cls = Launcher
    PretendedDriver.utils_cls = Utils
    triton.runtime.driver.set_active(PretendedDriver(triton.runtime.driver.active.gpu))
    triton.knobs.runtime.kernel_load_end_hook.add(keep_ptx)
    Autotuner.run = configurations.run
    configurations.install()
    triton.knobs.runtime.interpret = False  # for good: a submission may set the variable


def warm_up() -> None:
    """For a parent that forks sessions: patch Triton now, and let it do what every first compilation waits for."""
    _install()
    triton_key()  # a checksum of all of Triton, half a second
    importlib.import_module("triton.experimental.gluon")
