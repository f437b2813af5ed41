"""Ten kernels of different make, as submissions, each with the smallest lab that holds it: `benchmarks.replayed` times them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch

from labs import prefill_inputs
from labs.declaration import Case, Draw, Inputs, Lab

ATTENTION = ("query", "key", "value", "out", "softmax_scale")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Kernel:
    """One submission: the file of its name, the lab it answers, the sizes it is timed at, and those of a quick look."""

    name: str
    lab: Lab
    case: Case
    small: Case

    @property
    def path(self) -> Path:
        return Path(__file__).parent / f"{self.name}.py"

    @property
    def source(self) -> str:
        return self.path.read_text(encoding="utf-8")


def _matrix(draw: Draw) -> dict[str, torch.Tensor]:
    return {"x": draw.normal(draw.sizes["rows"], draw.sizes["cols"])}


def _decode(draw: Draw) -> dict[str, torch.Tensor | float]:
    heads, seqlen, head_dim = (draw.sizes[name] for name in ("heads", "seqlen", "head_dim"))
    key, value = draw.normal(1, heads, seqlen, head_dim), draw.normal(1, heads, seqlen, head_dim)
    return {"query": draw.normal(1, heads, 1, head_dim), "key": key, "value": value, "softmax_scale": head_dim**-0.5}


def _attended(given: Inputs) -> torch.Tensor:
    return torch.softmax(prefill_inputs.scores(given), dim=-1) @ given["value"].double()


def _lab(expected, out_shape, *, inputs=_matrix, arguments=("x", "out")) -> Lab:
    return Lab(
        title="",
        objectives=(),
        points=0,
        entry="entry",
        arguments=arguments,
        inputs=inputs,
        out_shape=out_shape,
        expected=expected,
        ideal_bytes=lambda given: 0,
        cases=(),
    )


def _like_x(given: Inputs) -> tuple[int, ...]:
    return tuple(given["x"].shape)


_COPY = _lab(lambda given: given["x"].double(), _like_x)
_SOFTMAX = _lab(lambda given: torch.softmax(given["x"].double(), -1), _like_x)
_SUMS = _lab(lambda given: given["x"].double().sum(0), lambda given: (given["x"].shape[1],))
_PREFILL = _lab(_attended, prefill_inputs.out_shape, inputs=prefill_inputs.make_inputs, arguments=ATTENTION)
_DECODE = _lab(_attended, prefill_inputs.out_shape, inputs=_decode, arguments=ATTENTION)


def _matrices(dtype: torch.dtype, rows: int, cols: int) -> dict[str, Case]:
    large = Case(name="timed", sizes={"rows": rows, "cols": cols}, dtype=dtype)
    small = Case(name="small", sizes={"rows": 5, "cols": min(cols, 4096)}, dtype=dtype)
    return {"case": large, "small": small}


_PREFILL_CASES = {
    "case": prefill_inputs.case("timed", heads=16, seqlen=4096, head_dim=64),
    "small": prefill_inputs.case("small", heads=2, seqlen=256, head_dim=64),
}
_DECODE_CASES = {
    "case": Case(name="timed", sizes={"heads": 32, "seqlen": 32768, "head_dim": 128}, dtype=torch.float16),
    "small": Case(name="small", sizes={"heads": 2, "seqlen": 1000, "head_dim": 128}, dtype=torch.float16),
}
_HALF, _SINGLE = torch.float16, torch.float32

KERNELS = (
    Kernel(name="copy", lab=_COPY, **_matrices(_SINGLE, 8192, 4096)),
    Kernel(name="softmax", lab=_SOFTMAX, **_matrices(_HALF, 8192, 4096)),
    Kernel(name="attention_device_descriptors", lab=_PREFILL, **_PREFILL_CASES),
    Kernel(name="attention_host_descriptors", lab=_PREFILL, **_PREFILL_CASES),
    Kernel(name="autotuned", lab=_SOFTMAX, **_matrices(_HALF, 8192, 4096)),
    Kernel(name="gluon_softmax", lab=_SOFTMAX, **_matrices(_HALF, 8192, 4096)),
    Kernel(name="three_launches", lab=_SOFTMAX, **_matrices(_HALF, 2048, 32768)),
    Kernel(name="split_kv", lab=_DECODE, **_DECODE_CASES),
    Kernel(name="cluster_and_pdl", lab=_COPY, **_matrices(_SINGLE, 8192, 4096)),
    Kernel(name="atomic", lab=_SUMS, **_matrices(_SINGLE, 8192, 4096)),
)
