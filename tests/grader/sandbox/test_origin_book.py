"""NaN and Inf in `out` are told of the operation that made them, and of what went in; what a guard takes out is not told."""

import pytest
import torch
from session_process import WorkerProcess

pytestmark = pytest.mark.process

HEAD = """\
import torch
import triton
import triton.language as tl


@triton.jit
def helper(x):
    return tl.exp(x)


@triton.jit
def kernel(x, y, out, N: tl.constexpr):
    i = tl.arange(0, N)
    a = tl.load(x + i)
    b = tl.load(y + i)
"""
LAUNCH = """

def entry(x, y, out):
    scratch = torch.empty(16, dtype=torch.float32, device=x.device)
    kernel[(1,)](x, y, out, N=16)
"""
FIRST = HEAD.count("\n") + 1  # the body's first line
INF = float("inf")


@pytest.fixture(scope="module")
def session():
    process = WorkerProcess("interpret")
    yield process
    process.close()


def followed(session, body, x, y):
    source = HEAD + "".join(f"    {line}\n" for line in body) + LAUNCH
    assert session.load(source, arguments=("x", "y", "out")) == ("loaded", {})
    inputs = {name: torch.full((16,), float(value)) for name, value in (("x", x), ("y", y))}
    kind, done, out = session.case(inputs=inputs, out=torch.empty(16), origins=True)
    assert kind == "done", done
    return done["facts"].origins, out


@pytest.mark.parametrize(
    ("body", "x", "y", "operation", "line", "went_in"),
    [
        (["c = a - b", "tl.store(out + i, tl.exp(c))"], -INF, -INF, "subtract", 0, ("-inf", "-inf")),
        (["c = helper(a)", "tl.store(out + i, c / tl.sum(c, 0))"], 100, 0, "exp", -8, ("100", "")),
        (["c = a * 2", "tl.store(out + i, c / b)"], 0, 0, "divide", 1, ("0", "0")),
        (["c = a / b", "tl.store(out + i, tl.where(i < 4, c, 0.0))"], 1, 0, "divide", 0, ("1", "0")),
        (["c = (a * 2).to(tl.float16)", "tl.store(out + i, c.to(tl.float32))"], 40000, 0, "cast", 0, ("80000", "fp16")),
        (["c = a * b", "tl.store(out + i, c)"], -INF, 0, "multiply", 0, ("-inf", "0")),
        (["c = tl.log(a)", "d = c - tl.max(c, 0)", "tl.store(out + i, d)"], 0, 0, "log", 0, ("0", "")),
        (["c = tl.max(a, 0)", "tl.store(out + i, a - c)"], -INF, 0, "subtract", 1, ("-inf", "-inf")),
        (
            ["c = (a - b)[:, None]", "d = tl.trans(tl.broadcast_to(c, (N, N)))", "tl.store(out + i, tl.sum(d, 1))"],
            -INF, -INF, "subtract", 0, ("-inf", "-inf"),
        ),
        (
            ["c = tl.broadcast_to((a - b)[:, None], (N, N))", "tl.store(out + i, tl.sum(tl.dot(c.T, c), 1))"],
            -INF, -INF, "subtract", 0, ("-inf", "-inf"),
        ),
        (["tl.store(out + i, a / b)", "c = tl.load(out + i)", "tl.store(out + i, c + 1)"], 0, 0, "divide", 0, ("0", "0")),
        (
            ["tl.store(out + i, b)", "tl.atomic_add(out + i, tl.exp(a))", "tl.store(out + i, tl.load(out + i) * 2)"],
            100, 0, "exp", 1, ("100", ""),
        ),
        (
            ["tl.store(out + i, a / b)", "c = tl.atomic_add(out + i, 1.0)", "tl.store(out + i, c)"],
            0, 0, "divide", 0, ("0", "0"),
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_the_operation_that_made_it_is_told(session, body, x, y, operation, line, went_in):
    origins, out = followed(session, body, x, y)

    assert not torch.isfinite(out).all()
    (origin,) = origins
    assert (origin.operation, origin.line, (origin.left, origin.right)) == (operation, FIRST + line, went_in)
    assert origin.cells == int((~torch.isfinite(out)).sum())


@pytest.mark.parametrize(
    "body",
    [
        ["c = a - b", "tl.store(out + i, tl.where(c == c, c, 0.0))"],
        ["tl.store(out + i, a - b, mask=i < 0)", "tl.store(out + i, tl.exp(a))"],
        ["tl.store(out + i, a - b)", "tl.store(out + i, tl.exp(a))"],
        ["tl.store(out + i, a)"],
    ],
)
def test_what_does_not_reach_out_or_is_as_it_should_be_is_not_told(session, body):
    origins, _ = followed(session, body, -INF, -INF)

    assert origins == ()


def test_nothing_is_followed_unless_it_is_asked_for(session):
    source = HEAD + "    tl.store(out + i, a - b)\n" + LAUNCH
    assert session.load(source, arguments=("x", "y", "out")) == ("loaded", {})
    inputs = {name: torch.full((16,), -INF) for name in ("x", "y")}

    kind, done, _ = session.case(inputs=inputs, out=torch.empty(16))

    assert kind == "done" and done["facts"].origins == ()
