"""libdevice's functions in the interpreter: right where NumPy has them, one sentence where nothing has."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from session_process import WorkerProcess
from triton.language.extra.cuda import libdevice as listed

HEAD = "import torch\nimport triton\nimport triton.language as tl\nfrom triton.language.extra import libdevice\n"
KERNEL = """

@triton.jit
def _kernel(x_ptr, out_ptr, BLOCK: tl.constexpr):
    offs = tl.arange(0, BLOCK)
    x = tl.load(x_ptr + offs)
    tl.store(out_ptr + offs, ({body}).to(out_ptr.dtype.element_ty))


def entry(x, out):
    _kernel[(1,)](x, out, BLOCK=x.shape[0])
"""
VALUES = (-3.5, -2.5, -1.0, -0.25, 0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.5, 3.0, 7.0, 10.0, 20.0, 50.0)


@pytest.fixture(scope="module")
def session():
    process = WorkerProcess("interpret")
    yield process
    process.close()


def computed(session, body, *, dtype=torch.float32, values=VALUES):
    assert session.load(HEAD + KERNEL.format(body=body)) == ("loaded", {})
    return session.case(inputs={"x": torch.tensor(values, dtype=dtype)}, out=torch.empty(len(values)))


@pytest.mark.parametrize(
    ("body", "function"),
    [
        ("libdevice.exp(x)", np.exp),
        ("libdevice.tanh(x)", np.tanh),
        ("libdevice.fast_expf(x)", np.exp),
        ("libdevice.rsqrt(x)", lambda x: 1 / np.sqrt(x)),
        ("libdevice.log1p(x)", np.log1p),
        ("libdevice.rint(x)", np.rint),
        ("libdevice.round(x)", lambda x: np.trunc(x + np.copysign(0.5, x))),
        ("libdevice.pow(x, 2.0)", np.square),
        ("libdevice.fmod(x, 2.0)", lambda x: np.fmod(x, 2.0)),
        ("libdevice.atan2(x, 2.0)", lambda x: np.arctan2(x, 2.0)),
        ("libdevice.isnan(x / x)", lambda x: np.isnan(x / x)),
        ("libdevice.isinf(1 / x)", lambda x: np.isinf(1 / x)),
        ("libdevice.erf(x)", np.vectorize(math.erf)),
        ("libdevice.div_rn(x, 3.0)", lambda x: x / 3),
        ("libdevice.float2int_rn(x)", np.rint),
        ("libdevice.float2int_rd(x)", np.floor),
        ("libdevice.float_as_int(x) & 0xFF", lambda x: x.astype(np.float32).view(np.int32) & 0xFF),
        ("libdevice.popc(libdevice.float2int_rn(x * x))", lambda x: [int(v).bit_count() for v in np.rint(x * x)]),
        ("libdevice.clz(libdevice.float2int_rn(x * x))", lambda x: [32 - int(v).bit_length() for v in np.rint(x * x)]),
        ("tl.extra.cuda.libdevice.exp2(x)", np.exp2),
        ("tl.math.exp2(x)", np.exp2),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_function_is_right(session, body, function):
    kind, done, out = computed(session, body)
    assert kind == "done", done

    with np.errstate(all="ignore"):
        expected = torch.tensor(np.asarray(function(np.array(VALUES))).astype(np.float32))
    torch.testing.assert_close(out, expected, rtol=2e-6, atol=1e-7, equal_nan=True)


def test_one_that_nothing_here_has_gets_a_sentence(session):
    kind, fault, _ = computed(session, "libdevice.j0(x)")

    assert kind == "fault"
    assert fault["text"] == "libdevice's j0f cannot run on the CPU; write it with the functions of tl and tl.math"
    assert fault["line"] == 11


def test_every_function_either_runs_or_says_that_it_cannot(session):
    """Whatever the library lists: with one, two or three numbers no function fails in a way of its own."""
    text = Path(listed.__file__).read_text()
    found = re.findall(r"^def (\w+)\((arg0(?:, arg\d)*), _semantic", text, re.M)
    assert len(found) > 150
    ran = 0
    for name, arguments in found:
        floats = re.search(rf"def {name}\(.*?is_pure", text, re.S)[0]
        given = ["libdevice.float2int_rn(x)" if '"int32"' in floats.split(":")[1] else "x"] * len(arguments.split(","))
        kind, answer, _ = computed(session, f"libdevice.{name}({', '.join(given)})")
        ran += kind == "done"
        if kind != "done":
            said = answer["text"]
            of_types = said.startswith(("(triton.language", "Expecting input type to be one of"))  # x is of another type
            assert of_types or "cannot run on the CPU" in said, (name, said)
    assert ran > 80
