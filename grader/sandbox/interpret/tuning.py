"""An autotuned kernel in the interpreter: nothing here can be timed, so its first configuration runs.

In a case that is run "in turn" all of them do, on the same buffers, as when the tuner times them: what is added to a buffer is
added again and again, unless `reset_to_zero` or `restore_value` names it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._python_dispatch import _disable_current_modes
from triton.compiler.errors import CompileTimeAssertionFailure
from triton.runtime.autotuner import Autotuner

from grader.sandbox.case import current_case
from grader.sandbox.record.format import ALTERNATIVE_LIMIT


def run(self: Autotuner, *args: Any, **kwargs: Any) -> Any:
    """Instead of Autotuner.run."""
    self.nargs = dict(zip(self.arg_names, args, strict=False))
    configs = list(self.prune_configs(kwargs)) if len(self.configs) > 1 else list(self.configs)
    twice = sorted(kwargs.keys() & {name for config in configs for name in config.kwargs})
    if twice:
        raise ValueError(
            f"Conflicting meta-parameters: {', '.join(twice)}. Make sure that you don't re-define auto-tuned symbols."
        )
    plan = current_case.plan()
    plan.book.configurations = max(plan.book.configurations, len(configs))
    if plan.in_turn and len(configs) > 1:
        for config in _worth_running(configs):
            _try(self, config, args, kwargs)
    config = configs[0]
    full = {**self.nargs, **kwargs, **config.all_kwargs()}
    self.pre_hook(full, reset_only=True)
    if config.pre_hook is not None:
        config.pre_hook(full)
    self.best_config = config
    result = self.fn.run(*args, **kwargs, **config.all_kwargs())
    self.nargs = None
    return result


def _worth_running(configs: list[Any]) -> list[Any]:
    """Those that differ in more than warps and stages, which the interpreter has not; at least one."""
    different = {repr(sorted(config.kwargs.items(), key=lambda item: item[0])): config for config in reversed(configs)}
    return list(different.values())[:ALTERNATIVE_LIMIT]


def _try(tuner: Autotuner, config: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """One run of one configuration, with the tuner's hooks around it."""
    full = {**tuner.nargs, **kwargs, **config.all_kwargs()}
    if config.pre_hook is not None:
        config.pre_hook(full)
    kept: dict[str, torch.Tensor] = {}
    if tuner.user_defined_pre_hook:
        tuner.pre_hook(full)
    else:
        tuner.pre_hook(full, reset_only=True)
        kept = {name: _copied(full[name]) for name in tuner.restore_value}
    failed: Exception | None = None
    try:
        tuner.fn.run(*args, **kwargs, **config.all_kwargs())
    except CompileTimeAssertionFailure as error:
        failed = error  # the tuner leaves such a configuration out
    if tuner.user_defined_post_hook:
        tuner.post_hook(full, exception=failed)
    for name, copy in kept.items():
        with _disable_current_modes(), torch._C.DisableTorchFunction():
            full[name].copy_(copy)


def _copied(tensor: torch.Tensor) -> torch.Tensor:
    with _disable_current_modes(), torch._C.DisableTorchFunction():
        return tensor.clone()
