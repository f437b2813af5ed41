"""What the figures' tests share: their JavaScript in V8, the engine that readers have."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from py_mini_racer import MiniRacer

from tabs.figures.widget import HERE

DOM_FREE = ("numbers", "formats", "dot_product", "softmax_lanes", "online_softmax", "bits", "block_quantisation")
DOM_FREE += ("decode_attention", "memory_traffic", "tile_map", "roofline", "lanes", "schedule", "watch")
# What each figure may hold and says of it, after the mathematics that it takes its numbers from.
SAYS = ("dot_product", "scaling", "softmax_lanes", "online_softmax", "bits", "block_quantisation", "decode_attention")
SAYS += ("memory_traffic", "cache_traffic", "roofline", "tile_map", "lanes", "stream", "schedule", "watch")

# JSON knows neither Inf, NaN nor the sign of zero.
REPLACE = (
    "(_, v) => typeof v !== 'number' || (Number.isFinite(v) && !Object.is(v, -0)) ? v : Object.is(v, -0) ? '#-0' : `#${v}`"
)
SPECIAL = {"#Infinity": math.inf, "#-Infinity": -math.inf, "#NaN": math.nan, "#-0": -0.0}


def _restored(value: Any) -> Any:
    if isinstance(value, list):
        return [_restored(item) for item in value]
    if isinstance(value, dict):
        return {key: _restored(item) for key, item in value.items()}
    return SPECIAL.get(value, value) if isinstance(value, str) else value


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"{type(value)} cannot be handed to JavaScript")


class Engine:
    """Runs expressions over the figures' DOM-free files: ``js("DotProduct.scores(q, keys)", q=…, keys=…)``."""

    def __init__(self) -> None:
        self._context = MiniRacer()
        for name in [*DOM_FREE, *(f"{idea}.says" for idea in SAYS)]:
            self._context.eval((HERE / f"{name}.js").read_text(encoding="utf-8"))

    def __call__(self, expression: str, **names: Any) -> Any:
        values = json.dumps(names, default=_plain)
        body = f"(({', '.join(names)}) => JSON.stringify({expression}, {REPLACE}))(...Object.values({values}))"
        return _restored(json.loads(self._context.eval(body)))


@pytest.fixture(scope="session")
def js():
    return Engine()
