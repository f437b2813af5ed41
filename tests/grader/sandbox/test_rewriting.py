"""A kernel's function as it is made for the interpreter: read again after a change, on its own line, wherever it is defined."""

import pytest
import torch
from session_process import WorkerProcess

pytestmark = pytest.mark.process

FILE = """import torch
import triton
import triton.language as tl
{first}

@triton.jit
def shifted(x):
    return x + {shift}


@triton.jit
def _kernel(x_ptr, out_ptr, BLOCK: tl.constexpr):
    offs = tl.arange(0, BLOCK)
    tl.store(out_ptr + offs, shifted(tl.load(x_ptr + offs)))
    {last}


def entry(x, out):
    _kernel[(1,)](x, out, BLOCK=x.shape[0])
"""
X = torch.arange(4.0)


@pytest.fixture(scope="module")
def session():
    process = WorkerProcess("interpret")
    yield process
    process.close()


def read(session, *, first="", shift="1.0", last="pass"):
    assert session.load(FILE.format(first=first, shift=shift, last=last)) == ("loaded", {})
    return session.case(inputs={"x": X}, out=torch.empty(4))


def test_what_stands_there_now_is_run(session):
    """A function that did not change is one that was read before; the changed one, and what calls it, are of this file."""
    for shift in ("1.0", "2.0", "1.0"):
        kind, _, out = read(session, shift=shift)
        assert kind == "done" and torch.equal(out, X + float(shift))
    kind, _, out = read(session, first="three = tl.constexpr(3.0)", shift="three")
    assert kind == "done" and torch.equal(out, X + 3.0)
    kind, _, out = read(session, first="three = tl.constexpr(4.0)", shift="three")
    assert kind == "done" and torch.equal(out, X + 4.0), "the same text, and another number of its file's"


@pytest.mark.parametrize("first", ["", "one = 1", "one = 1\ntwo = '''\n\n'''"])
def test_a_fault_is_on_its_line_wherever_that_has_moved(session, first):
    kind, fault, _ = read(session, first=first, last="tl.store(x_ptr + 99, 1.0)")
    line = FILE.format(first=first, shift="1.0", last="HERE").split("\n").index("    HERE") + 1
    assert kind == "fault" and fault["line"] == line


IN_PLACES = """import torch
import triton
import triton.language as tl


def made(width):
    if width:
        @triton.jit
        def _kernel(x_ptr, out_ptr, BLOCK: tl.constexpr):
            text = "a # b"
            for at in range(2):
                offs = tl.arange(0, BLOCK)
                tl.store(out_ptr + offs, tl.load(x_ptr + offs) * 2)
    return _kernel


def entry(x, out):
    made({width})[(1,)](x, out, BLOCK=x.shape[0])
"""


def test_a_kernel_that_is_made_inside_a_function_is_found(session):
    for _ in range(2):
        assert session.load(IN_PLACES.format(width=4)) == ("loaded", {})
        kind, done, out = session.case(inputs={"x": X}, out=torch.empty(4))
        assert kind == "done", done
        assert torch.equal(out, 2 * X)


def test_a_name_that_is_refused_is_found_wherever_it_hides():
    """In a function of a function, behind another name, in letters that Python reads as the same."""
    from grader.sandbox.case.refusals import Refused
    from grader.sandbox.session import reading

    for line in (
        "import triton.language as tl\ndef f():\n    def g(x):\n        return tl.softmax(x)\n",
        "from triton.language import softmax as harmless\nharmless(1)\n",
        "import triton.language as tl\nclass A:\n    def f(self):\n        return [tl.ſoftmax(x) for x in self]\n",
        "import triton\ny = lambda x: triton.language.standard.softmax(x)\n",
    ):
        with pytest.raises(Refused, match="softmax is not allowed"):
            reading.refuse_names(line, reading.parse(line), ("softmax",))
    harmless = 'import triton.language as tl\n"""tl.softmax"""\ndef softmax(x): return x\nsoftmax(1)\nx = tl.exp\n'
    reading.refuse_names(harmless, reading.parse(harmless), ("softmax",))
