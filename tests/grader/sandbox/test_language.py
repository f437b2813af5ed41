"""triton.language in the interpreter: what a GPU takes is taken, and what the interpreter lacks is said in a sentence."""

import inspect

import pytest
import torch
import triton.language as tl
from session_process import WorkerProcess

KERNEL = """import torch
import triton
import triton.language as tl


@triton.jit
def add(a):
    return a + 1.0


@triton.jit
def _kernel(x_ptr, out_ptr, BLOCK: tl.constexpr):
    x = tl.load(x_ptr + tl.arange(0, BLOCK))
    tl.store(out_ptr + tl.arange(0, BLOCK), {body})


def entry(x, out):
    _kernel[(1,)](x, out, BLOCK=x.shape[0])
"""
VALUES = torch.tensor([0.25, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0])
# What is called on a tile: builtins that stock Triton's interpreter gives its own arguments, and those that it forgets.
MEMBERS = sorted(
    name
    for name, member in inspect.getmembers(tl.tensor, inspect.isfunction)
    if name in dir(tl) and list(inspect.signature(member).parameters)[1:] in ([], ["_semantic"])
)


@pytest.fixture(scope="module")
def session():
    process = WorkerProcess("interpret")
    yield process
    process.close()


def computed(session, body):
    assert session.load(KERNEL.format(body=body)) == ("loaded", {})
    return session.case(inputs={"x": VALUES}, out=torch.empty(len(VALUES)))


@pytest.mark.parametrize("name", MEMBERS)
def test_a_member_of_a_tile_is_the_function_of_that_name(session, name):
    """x.exp() is tl.exp(x): both compile for a GPU."""
    kind, done, free = computed(session, f"tl.{name}(x)")
    assert kind == "done", done
    kind, done, member = computed(session, f"x.{name}()")
    assert kind == "done", done
    assert torch.equal(free, member)


def test_the_members_are_those_of_this_triton():
    assert {"exp", "exp2", "log", "sqrt", "rsqrt", "sin", "cos", "erf", "floor", "ceil", "abs"} <= set(MEMBERS)


def test_what_the_interpreter_lacks_is_said(session):
    kind, fault, _ = computed(session, "tl.map_elementwise(add, x)")

    assert kind == "fault"
    assert fault["text"].startswith("this operation cannot run on the CPU: Triton's interpreter has no ")
    assert fault["line"] == 14
