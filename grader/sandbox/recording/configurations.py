"""Which of an autotuner's configurations are compiled and written down in a case, and with which options.

Each is a binary of its own, and compiling it takes longer than anything else. A binary is right or wrong wherever it runs, so
a case records those that this session has not compiled in this form yet, `NEW_IN_A_CASE` of them, the first case from the
first on, the next from there; where there is none left, one that it has. The timed case records all: the replayer chooses.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import Any

from triton.compiler.errors import CompileTimeAssertionFailure
from triton.runtime.autotuner import Autotuner
from triton.runtime.errors import OutOfResources, PTXASError
from triton.runtime.jit import JITFunction

from grader.sandbox.case import current_case
from grader.sandbox.record import format as record

NEW_IN_A_CASE = 8
_NOT_COMPILED = (OutOfResources, CompileTimeAssertionFailure, PTXASError)  # the tuner leaves such a configuration out

_compiled: set[tuple[Any, ...]] = set()  # kernel, form and configuration, of all cases of the session


def install() -> None:
    """Give every launch the options that the case overrides."""
    launch = JITFunction.run

    @functools.wraps(launch)
    def run_with_options(self: JITFunction, *args: Any, **kwargs: Any) -> Any:
        options = current_case.plan().compile_with if current_case.is_there() else {}
        return launch(self, *args, **{**kwargs, **options})

    JITFunction.run = run_with_options


def run(self: Autotuner, *args: Any, **kwargs: Any) -> None:
    """Instead of Autotuner.run: whoever replays the record times the configurations, here they are written down."""
    self.nargs = dict(zip(self.arg_names, args, strict=False))
    configs = list(self.prune_configs(kwargs)) if len(self.configs) > 1 else list(self.configs)
    if len(configs) > record.ALTERNATIVE_LIMIT:
        text = f"{self.base_fn.__name__} has {len(configs)} configurations; {record.ALTERNATIVE_LIMIT} are allowed."
        raise current_case.rules().refuse(text)
    failures: list[Exception] = []
    form = (id(self), _form(self, {**self.nargs, **kwargs}))

    def attempt(index: int) -> bool:
        config = configs[index]
        full = {**self.nargs, **kwargs, **config.all_kwargs()}
        _compiled.add((form, _label(config)))
        try:
            self.pre_hook(full, reset_only=True)
            if config.pre_hook is not None:
                config.pre_hook(full)
            self.fn.run(*args, **kwargs, **config.all_kwargs())
        except _NOT_COMPILED as error:
            failures.append(error)
            return False
        self.best_config = config
        return True

    if len(configs) == 1:
        if not attempt(0):
            raise failures[0]
    else:
        book = current_case.plan()
        labels = [_label(config) for config in configs]
        if not any(book.alternatives(labels, chosen, attempt) for chosen in _chosen(configs, form, book.turn)):
            raise failures[0]
    self.nargs = None


def _chosen(configs: list[Any], form: Any, turn: int | None) -> Iterator[list[int]]:
    """Groups of configurations to be tried until one of a group can be compiled."""
    everything = list(range(len(configs)))
    if turn is None:
        yield everything
        return
    start = turn * NEW_IN_A_CASE % len(configs)
    everything = everything[start:] + everything[:start]
    new = [index for index in everything if (form, _label(configs[index])) not in _compiled]
    known = [index for index in everything if index not in new]
    yield new[:NEW_IN_A_CASE] or known[:1]
    for index in (new[NEW_IN_A_CASE:] + known)[: len(configs)]:
        yield [index]


def _form(tuner: Autotuner, arguments: dict[str, Any]) -> str:
    """What of a launch's arguments a binary depends on: types, what Triton specialises on, and constants."""
    kernel = tuner.fn
    while not isinstance(kernel, JITFunction):
        kernel = kernel.fn
    plain = {parameter.name for parameter in kernel.params if not parameter.is_constexpr}
    return repr({name: _form_of(value, constant=name not in plain) for name, value in sorted(arguments.items())})


def _form_of(value: Any, *, constant: bool) -> Any:
    if hasattr(value, "data_ptr"):
        return str(value.dtype), value.data_ptr() % 16 == 0
    if constant or type(value) is not int:
        return type(value).__name__ if isinstance(value, float) and not constant else repr(value)[:100]
    return value == 1, value % 16 == 0, value.bit_length() > 31, value.bit_length() > 63


def _label(config: Any) -> str:
    text = re.sub(r"[^ -~]", "?", str(config))
    return text[:200]
