"""Python's words in a kernel: what the compiler makes of them, the interpreter does; what it refuses, is refused."""

import pytest
import torch
from session_process import WorkerProcess

pytestmark = pytest.mark.process

KERNEL = """import torch
import triton
import triton.language as tl


@triton.jit
def _kernel(x_ptr, out_ptr, n, BLOCK: tl.constexpr):
    offs = tl.arange(0, BLOCK)
    x = tl.load(x_ptr + offs)
    {body}
    tl.store(out_ptr + offs, x)


def entry(x, out):
    {host}
    _kernel[{grid}](x, out, 3, BLOCK=x.shape[0])
"""
X = torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0])


@pytest.fixture(scope="module")
def session():
    process = WorkerProcess("interpret")
    yield process
    process.close()


def ran(session, body="pass", *, grid="(1,)", host="pass"):
    assert session.load(KERNEL.format(body=body.replace("\n", "\n    "), grid=grid, host=host)) == ("loaded", {})
    return session.case(inputs={"x": X}, out=torch.empty(8))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("x = tl.where(offs < n and x < 0, 1.0, 0.0)", torch.where((torch.arange(8) < 3) & (X < 0), 1.0, 0.0)),
        ("x = tl.where(x < 0 and offs < n, 1.0, 0.0)", torch.where((torch.arange(8) < 3) & (X < 0), 1.0, 0.0)),
        ("x = tl.where(x > 3 or x < 0 or offs == n, 1.0, 0.0)", ((X > 3) | (X < 0) | (torch.arange(8) == 3)).float()),
        ("x = tl.where(not x < 0, 1.0, 0.0)", (X >= 0).float()),
        ("x = tl.where(not (x < 0 or BLOCK > 99), 1.0, 0.0)", (X >= 0).float()),
        ("x = max(x, 0.0)", X.clamp(min=0)),
        ("x = min(max(x, -1.0), 2.0)", X.clamp(-1, 2)),
        ("x = x * max(BLOCK, 2) + min(n, 5)", X * 8 + 3),
        ("assert x == 0, 'looked at where it is debugged alone'", X),
        ("if n > 2 and BLOCK == 8:\n    x = x + 1", X + 1),
        ("if not n > 2:\n    x = x + 1", X),
        ("x = x + 1 if n > 2 or n < 0 else x", X + 1),
        ("i = 0\nwhile i < n and i < 99:\n    i += 1\nx = x + i", X + 3),
    ],
)
def test_a_word_means_what_it_means_compiled(session, body, expected):
    kind, done, out = ran(session, body)
    assert kind == "done", done
    assert torch.equal(out, expected)


def test_both_sides_are_looked_at(session):
    """A compiled kernel loads on the right of `and`, whatever stands on its left."""
    kind, fault, _ = ran(session, "if n > 99 and tl.load(x_ptr + 4096) > 0:\n    x = x + 1")
    assert (kind, fault["stage"]) == ("fault", "bounds")


@pytest.mark.parametrize(
    "body",
    ["if x > 0:\n    x = x + 1", "while x < 0:\n    x = x + 1", "x = 1.0 if x > 0 else 0.0", "if x > 0 and n > 0:\n    n = 0"],
)
def test_a_tile_is_no_condition(session, body):
    kind, fault, _ = ran(session, body)
    assert (kind, fault["stage"]) == ("fault", "compile")
    assert "more than one value is ambiguous" in fault["text"]


def test_an_assert_of_constants_holds(session):
    kind, fault, _ = ran(session, "assert BLOCK < 4, 'too wide'")
    assert kind == "fault" and "too wide" in fault["text"]


def test_a_kernel_that_yields_is_refused_as_by_the_compiler(session):
    kind, fault, _ = ran(session, "yield x")
    assert (kind, fault["stage"]) == ("fault", "run") and "Yield" in fault["text"]


@pytest.mark.parametrize(
    "grid", ["(1.0,)", "1", "(-1,)", "None", "'rows'", "()", "(1, 1, 1, 1)", "lambda meta: (meta['BLOCK'] / 8,)"]
)
def test_what_is_no_grid_is_refused(session, grid):
    kind, fault, _ = ran(session, grid=grid)
    assert kind == "fault" and "is no grid, which is a tuple" in fault["text"]


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("torch.empty(4)", "torch.empty makes a tensor on the CPU"),
        ("torch.zeros(4, 4, dtype=torch.float32)", "torch.zeros makes a tensor on the CPU"),
        ("torch.full((4,), 1.0, device='cpu')", "torch.full makes a tensor on the CPU"),
        ("torch.empty_strided((4,), (1,), device=torch.device('cpu'))", "torch.empty_strided makes a tensor on the CPU"),
        ("torch.empty(4, device=x.device)", ""),
        ("torch.empty(4, device='cuda')", ""),
        ("torch.empty_like(x); x.new_zeros(3); torch.zeros_like(out)", ""),
        ("torch.empty(0)", ""),
    ],
)
def test_scratch_lies_where_the_inputs_lie(session, host, said):
    kind, fault, _ = ran(session, host=host)
    assert (kind == "fault" and said in fault["text"]) if said else kind == "done"


def test_a_default_device_counts():
    process = WorkerProcess("interpret")
    try:
        kind, done, _ = ran(process, host="torch.set_default_device('cuda'); torch.empty(4)")
        assert kind == "done", done
        kind, done, _ = ran(process, host="with torch.device('cuda'): torch.empty(4)")
        assert kind == "done", done
    finally:
        process.close()
