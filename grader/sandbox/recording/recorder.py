"""Compiles a submission for a GPU that is not there and writes its launches down instead of making them.

The entry function is called on tensors with nothing in them; Triton (and Gluon) compile for the named target, of which only
ptxas is executed, and hand every launch to `driver`. What comes out is a `Record` (`grader.sandbox.record`). Works without a
GPU, a C compiler or a launcher stub. Of an autotuned kernel every configuration is recorded; what reads values on the host is
refused (`refusals`), since there are none.
"""

from __future__ import annotations

import functools
import importlib
import re
from collections.abc import Callable
from typing import Any

import triton
from triton.compiler.errors import CompileTimeAssertionFailure
from triton.runtime.autotuner import Autotuner
from triton.runtime.cache import triton_key
from triton.runtime.errors import OutOfResources, PTXASError

from grader.sandbox.case import current_case
from grader.sandbox.case.address_map import AddressMap
from grader.sandbox.case.lent import region_of, stand_in
from grader.sandbox.case.pretended_gpu import PretendedDriver
from grader.sandbox.case.refusals import HostRules, refuse_in_language
from grader.sandbox.protocol import LentTensor
from grader.sandbox.record import format as record
from grader.sandbox.record.gpus import Gpu
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
        return self._rules and self._rules.first_refusal

    def run(
        self, entry: Callable[..., Any], tensors: list[LentTensor], scalars: dict[str, Any], scratch_limit_bytes: int | None
    ) -> bytes:
        """Call the entry function on stand-ins of the lent tensors.

        Returns:
            The launch record.
        """
        addresses = AddressMap()
        book = LaunchBook(addresses)
        rules = HostRules(addresses, scratch_limit_bytes=scratch_limit_bytes, compute=False, on_fill=book.fill)
        self._rules = book.rules = rules
        arguments: dict[str, Any] = dict(scalars)
        forms = []
        for lent in tensors:
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
    load_utils = PretendedDriver.__init__

    def with_our_utils(self: PretendedDriver, gpu: Gpu) -> None:
        load_utils(self, gpu)
        self.utils = Utils(self.utils)

    PretendedDriver.__init__ = with_our_utils
    triton.runtime.driver.set_active(PretendedDriver(triton.runtime.driver.active.gpu))
    triton.knobs.runtime.kernel_load_end_hook.add(keep_ptx)
    Autotuner.run = _run_every_configuration


def _run_every_configuration(self: Autotuner, *args: Any, **kwargs: Any) -> None:
    """Instead of Autotuner.run: whoever replays the record times the configurations, here each is written down."""
    self.nargs = dict(zip(self.arg_names, args, strict=False))
    configs = list(self.prune_configs(kwargs)) if len(self.configs) > 1 else list(self.configs)
    if len(configs) > record.ALTERNATIVE_LIMIT:
        text = f"{self.base_fn.__name__} has {len(configs)} configurations; {record.ALTERNATIVE_LIMIT} are allowed."
        raise current_case.rules().refuse(text)
    failures: list[Exception] = []

    def attempt(index: int) -> bool:
        config = configs[index]
        full = {**self.nargs, **kwargs, **config.all_kwargs()}
        try:
            self.pre_hook(full, reset_only=True)
            if config.pre_hook is not None:
                config.pre_hook(full)
            self.fn.run(*args, **kwargs, **config.all_kwargs())
        except (OutOfResources, CompileTimeAssertionFailure, PTXASError) as error:
            failures.append(error)
            return False
        self.best_config = config
        return True

    if len(configs) == 1:
        if not attempt(0):
            raise failures[0]
    else:
        current_case.book().alternatives([_label(config) for config in configs], attempt)
        if len(failures) == len(configs):
            raise failures[0]
    self.nargs = None


def _label(config: Any) -> str:
    text = re.sub(r"[^ -~]", "?", str(config))
    return text[:200]


def warm_up() -> None:
    """For a parent that forks sessions: patch Triton now, and let it do what every first compilation waits for."""
    _install()
    triton_key()  # a checksum of all of Triton, half a second
    importlib.import_module("triton.experimental.gluon")
