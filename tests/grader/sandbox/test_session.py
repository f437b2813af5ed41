"""The session, driven over its pipes as the judge does, without walls."""

import textwrap

import pytest
import torch
from session_process import WorkerProcess

pytestmark = pytest.mark.process

HEAD = """\
import torch
import triton
import triton.language as tl

"""

SOFTMAX = (
    HEAD
    + """
@triton.jit
def _softmax(x_ptr, out_ptr, cols, row_stride, BLOCK: tl.constexpr):
    row = tl.program_id(0)
    offs = tl.arange(0, BLOCK)
    x = tl.load(x_ptr + row * row_stride + offs, mask=offs < cols, other=-float("inf")).to(tl.float32)
    x = tl.exp(x - tl.max(x, 0))
    tl.store(out_ptr + row * cols + offs, x / tl.sum(x, 0), mask=offs < cols)


def entry(x, out):
    rows, cols = x.shape
    _softmax[(rows,)](x, out, cols, x.stride(0), triton.next_power_of_2(cols))
"""
)


@pytest.fixture(scope="module")
def session():
    process = WorkerProcess("interpret")
    yield process
    process.close()


def normal(*shape, dtype=torch.float32, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def program(body, kernel="    pass"):
    """A submission whose kernel and entry function have the given bodies."""
    head = "@triton.jit\ndef _kernel(x_ptr, out_ptr, n, BLOCK: tl.constexpr):\n"
    kernel_text = head + textwrap.indent(textwrap.dedent(kernel), "    ") + "\n\n\n"
    return HEAD + "\n" + kernel_text + "def entry(x, out):\n" + textwrap.indent(textwrap.dedent(body), "    ") + "\n"


LAUNCH = "_kernel[(1,)](x, out, x.numel(), 32)"


def line_of(source, text):
    return next(number for number, line in enumerate(source.splitlines(), start=1) if text in line)


def run(session, source, *, x=None, out=None, **options):
    assert session.load(source) == ("loaded", {})
    x = normal(20) if x is None else x
    return session.case(inputs={"x": x}, out=torch.empty_like(x) if out is None else out, **options)


# Right answers


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=["fp32", "fp16", "bf16"])
@pytest.mark.parametrize("strided", [(), ("x",)], ids=["contiguous", "strided"])
def test_runs_a_softmax(session, strided, dtype):
    x = normal(5, 37, dtype=dtype)

    kind, done, out = run(session, SOFTMAX, x=x, strided=strided)

    assert kind == "done", done
    tolerance = {torch.float32: 1e-6, torch.float16: 1e-3, torch.bfloat16: 8e-3}[dtype]
    torch.testing.assert_close(out.float(), torch.softmax(x.float(), -1), atol=tolerance, rtol=tolerance)
    assert done["loaded_bytes"] == done["stored_bytes"] == 5 * 37 * dtype.itemsize
    assert done["masked_bytes"] == 2 * 5 * (64 - 37) * dtype.itemsize


def test_tensors_without_elements_work(session):
    kind, done, _ = run(session, SOFTMAX, x=torch.empty(0, 8))

    assert (kind, done["loaded_bytes"]) == ("done", 0)


def test_scratch_is_counted_poisoned_and_filled(session):
    source = program(
        """
        empty = torch.empty(x.numel(), device="cuda", dtype=torch.float32)
        zeros = torch.zeros_like(x)
        full = x.new_full((x.numel(),), 2.0)
        _kernel[(1,)](x, out, empty, zeros, full, x.numel(), 32)
        """
    ).replace("(x_ptr, out_ptr, n,", "(x_ptr, out_ptr, empty_ptr, zeros_ptr, full_ptr, n,")
    source = source.replace(
        "    pass\n",
        """\
    offs = tl.arange(0, BLOCK)
    empty = tl.load(empty_ptr + offs, mask=offs < n)
    zeros = tl.load(zeros_ptr + offs, mask=offs < n)
    full = tl.load(full_ptr + offs, mask=offs < n)
    tl.store(out_ptr + offs, tl.where(empty != empty, zeros + full, -1.0), mask=offs < n)
""",
    )

    kind, done, out = run(session, source)

    assert kind == "done", done
    assert done["scratch_bytes"] == 3 * 20 * 4
    assert (out == 2.0).all()


# Faults


@pytest.mark.parametrize(
    ("source", "said"),
    [
        pytest.param("def entry(:\n", "invalid syntax", id="broken"),
        pytest.param("x = 1\0\n", "null bytes", id="nul"),
        pytest.param("\udc80", "", id="lone_surrogate"),
        pytest.param("return 1\n", "outside function", id="return_outside"),
        pytest.param("(" * 300 + ")" * 300, "", id="nested"),
        pytest.param("x = " + "-" * 60_000 + "1", "", id="deep"),
    ],
)
def test_text_that_is_no_python_is_a_syntax_fault(session, source, said):
    kind, fault = session.load(source)

    assert (kind, fault["stage"]) == ("fault", "syntax")
    assert said in fault["text"]


@pytest.mark.parametrize(
    ("around", "said"),
    [
        ("```python\n{}```\n", "the fence ```"),
        (">>> {}", "the prompts >>>"),
        ("\n<!doctype html>\n{}", "a web page"),
        ("%%time\n{}", "%%magic"),
        ("!pip install triton\n{}", "a notebook's command"),
        ("{}%timeit entry(1, 2)\n", "a notebook's command"),
        ("1 x = 1\n2 y = 2\n3 z = 3\n", "the numbers of its lines"),
        ("+def entry(x, out):\n+    pass\n+y = 1\n", "this is a patch"),
        (
            "{}\u00a0\u00a0\u00a0\u00a0x = 1\n",
            "U+00A0, a blank of web pages and text programs, stands where a plain one must, 4 times",
        ),
        ("{}    x\u200b = 1\n", "U+200B, a character that is not seen"),
        ("{}    x = “a”\n", '“ (U+201C) stands where " must'),
        ("{}    x = −1 − 2\n", "− (U+2212) stands where - must, 2 times"),
        ("{}    print（1)\n", "（ (U+FF08) stands where ( must"),
        ("{}    x = 1 ≤ 2\n", "≤ (U+2264) stands where <= must"),
        ("{}    x = €\n", "invalid character '€'"),
        ("x = (3\n    %y z)\n", "invalid syntax"),
        ("x = (\n{}", "'(' was never closed"),
        ("Here is the kernel:\n\n```python\n{}", "the fence ```"),
        ("{}\n```\nIt copies a row.\n", "the fence ```"),
        ("Here's the fixed kernel.\n{}", "a sentence stands there"),
        ("<<<<<<< HEAD\n{}", "the marks of a merge"),
        ("pip install triton\n{}", "a command of a shell"),
        ("__global__ void copy(float* x) {{}}\n{}", "CUDA C++"),
        ("Traceback (most recent call last):\n{}", "what Python says of an error"),
        ("if 1 &lt; 2:\n    pass\n{}", "the signs of a web page"),
        ("+x = 1\n {}", "this is a patch"),
        ("x = 5 !\n{}", "invalid syntax"),
    ],
)
def test_what_was_pasted_with_a_text_is_named(session, around, said):
    kind, fault = session.load(around.format("def entry(x, out):\n    pass\n"))

    assert (kind, fault["stage"]) == ("fault", "syntax")
    assert said in fault["text"]


@pytest.mark.parametrize(
    ("source", "said", "line"),
    [
        pytest.param("x = 1\n", "entry(x, out) is missing", None, id="missing"),
        pytest.param("\ndef entry(x):\n    pass\n", "does not take", 2, id="too_few"),
        pytest.param("def entry(x, out, scale):\n    pass\n", "does not take", 1, id="too_many"),
        pytest.param("async def entry(x, out):\n    pass\n", "a plain function", 1, id="async"),
        pytest.param("\ndef entry(x, out):\n    yield\n", "a plain function", 2, id="a_generator"),
        pytest.param("def entry(y, out):\n    pass\n", "does not take", 1, id="renamed"),
        pytest.param("entry = 3\n", "must be the function entry(x, out), not an int", None, id="a_number"),
        pytest.param("class entry:\n    pass\n", "must be the function entry(x, out), not a class", None, id="a_class"),
        pytest.param("entry = print\n", "does not take", None, id="a_builtin"),
        pytest.param("entry = max\n", "what entry takes cannot be read", None, id="of_no_signature"),
        pytest.param(
            "from functools import partial\nentry = partial(lambda y, out: y, 1)\n", "does not take", None, id="a_partial"
        ),
        pytest.param("import triton\n@triton.jit\ndef entry(x, out):\n    pass\n", "is a Triton kernel", None, id="a_kernel"),
    ],
)
def test_the_entry_function_must_fit(session, source, said, line):
    kind, fault = session.load(source)

    assert (kind, fault["stage"], fault["line"]) == ("fault", "entry", line)
    assert said in fault["text"]


@pytest.mark.parametrize(
    "source",
    [
        "import functools\nentry = functools.partial(lambda scale, x, out: out.fill_(scale), 1.0)\n",
        "class Entry:\n    def __call__(self, x, out):\n        pass\nentry = Entry()\n",
        "class Entry:\n    def run(self, x, out):\n        pass\nentry = Entry().run\n",
        "import torch\n@torch.library.custom_op('my::entry', mutates_args=('out',))\n"
        "def entry(x: torch.Tensor, out: torch.Tensor) -> None:\n    pass\n",
        "import torch\n@torch.compile\n@torch.no_grad()\ndef entry(x, out):\n    pass\n",
        "import functools\n@functools.lru_cache\ndef entry(x, out):\n    pass\n",
        "def entry(*args, **kwargs):\n    pass\n",
    ],
    ids=["partial", "object", "method", "operator", "compiled", "cached", "any_arguments"],
)
def test_whatever_is_called_like_the_entry_function_is_one(session, source):
    assert session.load(source) == ("loaded", {})
    assert session.case(inputs={"x": torch.ones(4)}, out=torch.empty(4))[0] == "done"


def test_a_further_argument_with_a_default_fits(session):
    assert session.load("def entry(x, out, block=64):\n    pass\n") == ("loaded", {})


def test_an_error_at_import_has_its_line(session):
    kind, fault = session.load(HEAD + "\nx = 1 / 0\n")

    assert (kind, fault["stage"], fault["error_type"], fault["line"]) == ("fault", "import", "ZeroDivisionError", 6)


@pytest.mark.parametrize(
    ("kernel", "stage", "said"),
    [
        ("x = tl.load(x_ptr + tl.arange(0, BLOCK))  # here", "bounds", "load reaches 12 elements past the end of x"),
        ("tl.store(out_ptr + tl.arange(0, BLOCK), 0.0)  # here", "bounds", "store reaches 12 elements past the end of out"),
        ("x = tl.load(x_ptr - 3)  # here", "bounds", "load reaches 3 elements before the start of x"),
        ("x = tl.load(x_ptr + 2000000000)  # here", "bounds", "far outside x"),
        ("tl.atomic_add(out_ptr + n, 1.0)  # here", "bounds", "An atomic operation reaches 1 element past the end of out"),
        ("tl.store(x_ptr, 0.0)  # here", "input_changed", "would change the input x"),
        ("x = tl.arange(0, 7)  # here", "compile", "power of 2"),
        ("x = tl.arange(0, n)  # here", "compile", "constexpr"),
        ("x = tl.nothing(x_ptr)  # here", "compile", "no attribute 'nothing'"),
        ("tl.assume(n < 0)  # here", "run", "Assume failed"),
        ("tl.static_assert(BLOCK < 0, 'too big')  # here", "compile", "too big"),
        ("x = tl.zeros([16, 8], tl.float32)\ny = tl.dot(x, tl.trans(x))  # here", "compile", "K >= 16"),
    ],
)
def test_a_fault_in_a_kernel_has_its_stage_and_line(session, kernel, stage, said):
    source = program(LAUNCH, kernel)

    kind, fault, _ = run(session, source)

    assert (kind, fault["stage"]) == ("fault", stage), fault
    assert said in fault["text"]
    assert fault["line"] == line_of(source, "# here")


@pytest.mark.parametrize(
    ("body", "stage", "said"),
    [
        ("raise NotImplementedError('write the launch')  # here", "run", "write the launch"),
        ("import sys; sys.exit(3)  # here", "run", "called exit(3)"),
        ("out.copy_(torch.softmax(x, -1))  # here", "refused", "torch.softmax is not allowed here"),
        ("torch.nn.functional.softmax(x, -1)  # here", "refused", "torch.nn.functional.softmax is not allowed here"),
        ("x @ x  # here", "refused", ".matmul() (@) is not allowed here"),
        ("y = x + 1  # here", "refused", ".add() (+) is not allowed here"),
        ("torch.ops.aten.exp(x)  # here", "refused", "exp"),
        ("out[0] = 1.0  # here", "refused", "assigning to a part of a tensor"),
        ("x.max()  # here", "refused", ".max() reads a tensor's values on the host"),
        ("int(torch.sum(x))  # here", "refused", "torch.sum reads a tensor's values on the host"),
        ("x.view(4, 5).max(dim=1)  # here", "refused", ".max() is not allowed here: the work is to be done by your own"),
        ("x.repeat_interleave(2)  # here", "refused", "the work is to be done by your own kernels"),
        ("x[0].item()  # here", "refused", "reads a tensor's values on the host"),
        ("float(x[0])  # here", "refused", "reads a tensor's values on the host"),
        ("x.tolist()  # here", "refused", "reads a tensor's values on the host"),
        ("x.cpu()  # here", "refused", "reads a tensor's values on the host"),
        ("print(x)  # here", "refused", "reads a tensor's values on the host"),
        ("bool(x[0] )  # here", "refused", "reads a tensor's values on the host"),
        ("_kernel(x, out, 20, 32)  # here", "run", "Cannot call @triton.jit'd outside of the scope of a kernel"),
        ("_kernel[(1,)](x, out, 20, 32, num_wraps=4)  # here", "run", "Keyword argument num_wraps was specified"),
        ("_kernel[(1,)](x, out, BLOCK=32)  # here", "run", "missing a required argument: 'n'"),
        ("out.add_(1)  # here", "refused", ".add_() is not allowed here"),
        ("out.copy_(x)  # here", "refused", ".copy_() is not allowed here"),
        ("out[:] = x  # here", "refused", "assigning to a part of a tensor"),
        ("torch.add(x, 1, out=out)  # here", "refused", "torch.add is not allowed here"),
        ("torch.matmul(x, x)  # here", "refused", "torch.matmul is not allowed here"),
        ("torch.arange(8, device='cuda')  # here", "refused", "torch.arange is not allowed here"),
        ("torch.tensor([1.0, 2.0], device='cuda')  # here", "refused", "torch.tensor is not allowed here"),
        ("torch.rand(3, device=x.device)  # here", "refused", "torch.rand is not allowed here"),
        ("x.view(4, 5).t().reshape(20)  # here", "refused", ".reshape() is not allowed here: it copies"),
        ("x.clone()  # here", "refused", ".clone() is not allowed here: it copies"),
        ("x.float().half()  # here", "refused", ".half() is not allowed here: it copies"),
        ("x.numpy()  # here", "refused", "reads a tensor's values on the host"),
        ("int(x[0])  # here", "refused", "reads a tensor's values on the host"),
        ("if x[0] > 0:  # here\n    pass", "refused", ".gt() (>) is not allowed here"),
        ("x in (1, 2)  # here", "refused", "== is not allowed here"),
        ("torch.equal(x, x)  # here", "refused", "reads a tensor's values on the host"),
        ("torch.full((3,), x[0])  # here", "refused", "reads a tensor's values on the host"),
        ("x[::2].contiguous()  # here", "refused", ".contiguous() is not allowed here: it copies"),
        ("x.to(torch.float16)  # here", "refused", ".to() is not allowed here: it copies"),
        ("x.zero_()  # here", "refused", "would change x"),
        ("torch.empty(1 << 20)  # here", "refused", "4,194,304 bytes of scratch; this case allows 65,536"),
        ("try:\n    x.max()  # here\nexcept Exception:\n    pass", "refused", ".max() reads a tensor's values"),
    ],
)
def test_what_the_host_must_not_do_is_named(session, body, stage, said):
    source = program(body)

    kind, fault, _ = run(session, source, scratch_limit_bytes=65_536)

    assert (kind, fault["stage"]) == ("fault", stage), fault
    assert said in fault["text"]
    assert fault["line"] == line_of(source, "# here")


@pytest.mark.parametrize(
    "body",
    [
        "y = x.view(4, 5).t()[1:, None].expand(-1, 3, -1).permute(2, 0, 1).unsqueeze(0)",
        "assert x.contiguous() is x or x.contiguous().data_ptr() == x.data_ptr()",
        "assert x.reshape(5, 4).data_ptr() == x.data_ptr()",
        "assert x.is_cuda and x.device.type == 'cuda' and out.device == x.device",
        "assert torch.cuda.get_device_properties(x.device).multi_processor_count == 132",
        "assert torch.cuda.get_device_capability() == (9, 0) and torch.cuda.current_device() == 0",
        "with torch.cuda.device(x.device):\n    torch.cuda.synchronize()",
        "y = torch.empty(3, 4, device='cuda:0'); y.zero_(); y[1:].fill_(3); torch.full((2,), 1.5, device=x.device)",
        "out.zero_(); out[3:].fill_(1)",
        "gpu = torch.device('cuda', 0); torch.zeros(3, device=gpu); x.to(gpu); assert gpu == x.device and gpu.type == 'cuda'",
        "x.T; x.view(4, 5).mT; x.flatten(); x.unflatten(0, (4, 5)); x.squeeze(); x.narrow(0, 1, 2); torch.unsqueeze(x, 0)",
        "a, b = x.split(10); c = torch.chunk(x, 2); d = x.unbind(); x.as_strided((2, 2), (1, 1)); x.detach(); len(x)",
        "x.view(torch.uint8); x.storage_offset(); x.nbytes; x.data_ptr(); x.untyped_storage().data_ptr(); x[None, ..., 3:]",
        "torch.empty_like(x); torch.empty((), device=x.device); x.new_empty(3); torch.empty_strided((2, 2), (2, 1), device=0)",
        "x.new_zeros(2, 2); x.new_ones(3); torch.ones_like(x, dtype=torch.int32); torch.full_like(x, -float('inf'))",
        "with torch.no_grad():\n    assert not x.requires_grad and torch.is_tensor(x) and torch.finfo(x.dtype).bits == 32",
        "assert triton.runtime.driver.active.get_active_torch_device() == x.device and str(x.device) == 'cuda:0'",
        "assert triton.runtime.driver.active.utils.get_device_properties(0)['multiprocessor_count'] == 132",
        "print(x.shape, x.dtype, f'{x.stride()}')",
        "x.to('cuda'); x.cuda(); x.to(x.dtype)",
        "triton.cdiv(x.numel(), 16); x.element_size(); x.stride(); x.dtype; x.numel(); x.dim(); x.size(0); x.is_contiguous()",
    ],
)
def test_what_the_host_may_do(session, body):
    kind, fault, _ = run(session, program(body))

    assert kind == "done", fault


def test_out_can_be_filled(session):
    kind, done, out = run(session, program("out.fill_(7.0)"))

    assert kind == "done", done
    assert (out == 7.0).all()


def test_a_tensor_of_an_earlier_call_is_refused(session):
    source = program("_kernel[(1,)](KEPT, out, 1, 32)").replace(
        "def entry", "KEPT = torch.zeros(4, device='cuda')\n\n\ndef entry"
    )

    kind, fault, _ = run(session, source)

    assert (kind, fault["stage"]) == ("fault", "refused")
    assert "x_ptr is a tensor that the entry function neither got nor made" in fault["text"]


@pytest.mark.parametrize(
    "use",
    ["tl.softmax(x)  # here", "triton.language.softmax(x)  # here", "tl.standard.softmax(x)  # here", "softmax(x)  # here"],
)
def test_a_forbidden_name_is_refused_at_load(session, use):
    source = program(LAUNCH, f"x = tl.load(x_ptr + tl.arange(0, BLOCK))\ny = {use}")
    if use.startswith("softmax"):
        source = "from triton.language import softmax\n" + source

    kind, fault = session.load(source, forbidden=("softmax",))

    assert (kind, fault["stage"], fault["line"]) == ("fault", "refused", line_of(source, "# here"))
    assert "tl.softmax is not allowed here" in fault["text"]


def test_a_forbidden_name_found_by_getattr_is_refused_when_called(session):
    source = program(LAUNCH, "y = getattr(tl, 'soft' + 'max')(tl.zeros([BLOCK], tl.float32))  # here")

    assert session.load(source, forbidden=("softmax",)) == ("loaded", {})
    kind, fault, _ = session.case(inputs={"x": normal(20)}, out=torch.empty(20))

    assert (kind, fault["stage"], fault["line"]) == ("fault", "refused", line_of(source, "# here"))


def test_text_is_cut_and_cleaned(session):
    kind, fault, _ = run(session, program("raise ValueError('\\x1b[31m' + 'a' * 100_000)"))

    assert (kind, fault["stage"]) == ("fault", "run")
    assert len(fault["text"]) <= 8192 and len(fault["raw"]) <= 8192
    assert "\x1b" not in fault["text"] + fault["raw"]


def test_a_fault_costs_only_its_case(session):
    source = SOFTMAX.replace("    rows, cols = x.shape\n", "    rows, cols = x.shape\n    assert cols != 5\n")
    assert session.load(source) == ("loaded", {})

    first, *_ = session.case(inputs={"x": normal(2, 5)}, out=torch.empty(2, 5))
    second, *_ = session.case(inputs={"x": normal(2, 6)}, out=torch.empty(2, 6))

    assert (first, second) == ("fault", "done")


def test_what_is_shown_raw_holds_the_submissions_lines_alone(session):
    source = program(LAUNCH, "x = tl.arange(0, 7)")

    _, fault, _ = run(session, source)

    assert 'File "submission.py"' in fault["raw"] and "x = tl.arange(0, 7)" in fault["raw"]
    assert "grader" not in fault["raw"] and "site-packages" not in fault["raw"]


def test_lines_are_counted_as_python_counts_them(session):
    source = "# a form feed:\f and a separator:\u2028\r\n" + program(LAUNCH, "x = tl.arange(0, 7)  # here")

    _, fault, _ = run(session, source)

    assert fault["line"] == next(n for n, line in enumerate(source.split("\n"), 1) if "# here" in line)


def test_a_launch_at_import_is_refused(session):
    source = program("pass") + "\n\nx = torch.zeros(8, device='cuda')\n_kernel[(1,)](x, x, 8, 32)  # here\n"

    kind, fault = session.load(source)

    assert (kind, fault["stage"], fault["line"]) == ("fault", "refused", line_of(source, "# here"))
    assert "launch it in the entry function" in fault["text"]


def test_inline_assembly_says_that_it_cannot_run_here(session):
    kernel = "x = tl.inline_asm_elementwise('mov.b32 $0, $1;', '=r,r', [tl.arange(0, 32)], tl.int32, True, 1)  # here"
    source = program(LAUNCH, kernel)

    _, fault, _ = run(session, source)

    assert fault["line"] == line_of(source, "# here")
    assert "inline assembly cannot run on the CPU" in fault["text"]
