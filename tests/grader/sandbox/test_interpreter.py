"""Triton's interpreter as a session runs it: what stock Triton gets wrong, what it cannot, and what is counted."""

import pytest
import torch
from session_process import WorkerProcess

pytestmark = pytest.mark.process

HEAD = """\
import torch
import triton
import triton.language as tl
from triton.tools.tensor_descriptor import TensorDescriptor

"""


@pytest.fixture(scope="module")
def session():
    process = WorkerProcess("interpret")
    yield process
    process.close()


def normal(*shape, dtype=torch.float32, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def run(session, source, *, inputs, out, scalars=None):
    arguments = (*inputs, "out", *(scalars or {}))
    assert session.load(HEAD + source, arguments=arguments) == ("loaded", {})
    kind, done, result = session.case(inputs=inputs, out=out, scalars=scalars)
    assert kind == "done", done
    return done, result


MATMUL = """
@triton.jit
def _matmul(a_ptr, b_ptr, out_ptr, M: tl.constexpr, N: tl.constexpr, K: tl.constexpr, PRECISION: tl.constexpr):
    m, n, k = tl.arange(0, M), tl.arange(0, N), tl.arange(0, K)
    a = tl.load(a_ptr + m[:, None] * K + k[None, :])
    b = tl.load(b_ptr + k[:, None] * N + n[None, :])
    tl.store(out_ptr + m[:, None] * N + n[None, :], tl.dot(a, b, input_precision=PRECISION))


def entry(a, b, out):
    _matmul[(1,)](a, b, out, 16, 32, 64, {precision!r})
"""


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2])
def test_dot_is_right_in_every_format(session, dtype):
    a, b = normal(16, 64, dtype=dtype), normal(64, 32, dtype=dtype, seed=1)

    _, out = run(session, MATMUL.format(precision=None), inputs={"a": a, "b": b}, out=torch.empty(16, 32))

    torch.testing.assert_close(out, a.float() @ b.float(), atol=1e-4, rtol=1e-5)


SHAPES = """
@triton.jit
def _shapes(out_ptr, WIDTH: tl.constexpr):
    rows, cols = tl.arange(0, 8)[:, None], tl.arange(0, 4)[None, :]
    ones = tl.full((8, 4), 1, tl.int64)
    tl.static_assert((rows + cols).shape[0] == 8 and (rows + cols).numel == 32)
    tl.static_assert((rows * ones).dtype == tl.int64 and (ones // rows.to(tl.int16)).dtype == tl.int64)
    tl.static_assert((rows / rows).dtype == tl.float32 and (rows == rows).dtype == tl.int1)
    half = rows.to(tl.float16)
    tl.static_assert((half * half).dtype == tl.float16 and (half / half).dtype == tl.float32)
    tl.store(out_ptr + rows * 4 + cols, (rows * cols + tl.zeros((8, WIDTH), tl.int32)).to(tl.float32))


def entry(out):
    _shapes[(1,)](out, {width})
"""


def test_a_block_has_the_type_that_its_operands_make(session):
    _, out = run(session, SHAPES.format(width=4), inputs={}, out=torch.empty(8, 4))

    assert torch.equal(out, torch.outer(torch.arange(8.0), torch.arange(4.0)))


@pytest.mark.parametrize(("width", "words"), [(3, "power of 2"), (2, "incompatible dimensions"), (4.0, "must have type")])
def test_a_shape_is_refused_each_time(session, width, words):
    for width_now in (4, width, width):
        assert session.load(HEAD + SHAPES.format(width=width_now), arguments=("out",)) == ("loaded", {})
        kind, told, _ = session.case(inputs={}, out=torch.empty(8, 4))
        assert kind == ("done" if width_now == 4 and type(width_now) is int else "fault"), told

    assert words in told["text"]


@pytest.mark.parametrize("operation", ["*", "&", "//"])
def test_two_pointers_are_no_numbers(session, operation):
    source = f"""
@triton.jit
def _pointers(out_ptr):
    tl.store(out_ptr, (out_ptr {operation} out_ptr).to(tl.float32))

def entry(out):
    _pointers[(1,)](out)
"""
    assert session.load(HEAD + source, arguments=("out",)) == ("loaded", {})

    kind, told, _ = session.case(inputs={}, out=torch.empty(8))

    assert (kind, told["text"]) == ("fault", "invalid operands of type pointer<fp32> and pointer<fp32>"), told


def test_dot_of_float32_is_tf32_unless_told_otherwise(session):
    a, b = normal(16, 64), normal(64, 32, seed=1)
    exact = a @ b
    inputs, out = {"a": a, "b": b}, torch.empty(16, 32)

    _, ieee = run(session, MATMUL.format(precision="ieee"), inputs=inputs, out=out)
    _, tf32 = run(session, MATMUL.format(precision=None), inputs=inputs, out=out)

    assert (ieee - exact).abs().max() < 1e-5
    assert 1e-4 < (tf32 - exact).abs().max() < 5e-2


def test_bfloat16_arithmetic_and_sums(session):
    source = """
@triton.jit
def _kernel(x_ptr, out_ptr, BLOCK: tl.constexpr):
    x = tl.load(x_ptr + tl.arange(0, BLOCK))
    y = tl.where(x > 0, x * 2.0, -x) + tl.full([BLOCK], 1.5, tl.bfloat16)
    tl.store(out_ptr, tl.max(y, 0).to(tl.float32))
    tl.store(out_ptr + 1, tl.sum(y, 0).to(tl.float32))


def entry(x, out):
    _kernel[(1,)](x, out, 64)
"""
    x = normal(64, dtype=torch.bfloat16)

    _, out = run(session, source, inputs={"x": x}, out=torch.empty(2))

    y = torch.where(x > 0, x * 2, -x) + 1.5
    assert out[0] == y.float().max()
    assert out[1] == pytest.approx(y.float().sum().item(), rel=1e-2)


def test_numbers_are_passed_as_a_gpu_would_get_them(session):
    source = """
@triton.jit
def _kernel(out_ptr, scale, flag, count):
    offs = tl.arange(0, 1)
    value = scale.to(tl.float64)
    if flag:
        for _ in range(0, count, 2):
            value += 1.0
    tl.store(out_ptr + offs, value)


def entry(out, scale):
    _kernel[(1,)](out, scale, True, 5)
"""
    _, out = run(session, source, inputs={}, out=torch.empty(1, dtype=torch.float64), scalars={"scale": 0.1})

    assert out.item() == 3 + torch.tensor(0.1).double().item()  # rounded to float32 on the way in


def test_a_combine_function_of_ones_own(session):
    source = """
@triton.jit
def _merge(m_a, l_a, m_b, l_b):
    m = tl.maximum(m_a, m_b)
    return m, l_a * tl.exp(m_a - m) + l_b * tl.exp(m_b - m)


@triton.jit
def _kernel(x_ptr, out_ptr, ROWS: tl.constexpr, COLS: tl.constexpr):
    rows, cols = tl.arange(0, ROWS), tl.arange(0, COLS)
    x = tl.load(x_ptr + rows[:, None] * COLS + cols[None, :])
    m, l = tl.reduce((x, tl.full([ROWS, COLS], 1.0, tl.float32)), 1, _merge)
    tl.store(out_ptr + rows, m + tl.log(l))


def entry(x, out):
    _kernel[(1,)](x, out, 4, 1024)
"""
    x = normal(4, 1024) * 10

    _, out = run(session, source, inputs={"x": x}, out=torch.empty(4))

    torch.testing.assert_close(out, torch.logsumexp(x, 1))


def test_a_combine_function_that_branches(session):
    source = """
@triton.jit
def _later(a, b):
    if b > a:
        result = b
    else:
        result = a
    return result


@triton.jit
def _kernel(x_ptr, out_ptr, BLOCK: tl.constexpr):
    tl.store(out_ptr, tl.reduce(tl.load(x_ptr + tl.arange(0, BLOCK)), 0, _later))


def entry(x, out):
    _kernel[(1,)](x, out, 16)
"""
    x = normal(16)

    _, out = run(session, source, inputs={"x": x}, out=torch.empty(1))

    assert out.item() == x.max().item()


@pytest.mark.parametrize("reverse", [False, True])
def test_a_scan_of_ones_own_keeps_the_order(session, reverse):
    source = """
@triton.jit
def _compose(a_scale, a_shift, b_scale, b_shift):
    return a_scale * b_scale, a_shift * b_scale + b_shift


@triton.jit
def _kernel(x_ptr, out_ptr, BLOCK: tl.constexpr, REVERSE: tl.constexpr):
    offs = tl.arange(0, BLOCK)
    x = tl.load(x_ptr + offs)
    _, shift = tl.associative_scan((x * 0 + 0.5, x), 0, _compose, reverse=REVERSE)
    tl.store(out_ptr + offs, shift)


def entry(x, out):
    _kernel[(1,)](x, out, 16, REVERSE)
"""
    x = normal(16)

    _, out = run(session, source.replace("16, REVERSE", f"16, {reverse}"), inputs={"x": x}, out=torch.empty(16))

    expected, state = [], 0.0
    for value in (x.flip(0) if reverse else x).tolist():
        state = state * 0.5 + value
        expected.append(state)
    expected = torch.tensor(expected)
    torch.testing.assert_close(out, expected.flip(0) if reverse else expected)


def test_an_autotuner_runs_its_first_configuration_and_heuristics_are_asked(session):
    source = """
CONFIGS = [triton.Config({"BLOCK": 16}, num_warps=2), triton.Config({"BLOCK": 64})]


@triton.autotune(CONFIGS, key=["n"], reset_to_zero=["out_ptr"])
@triton.heuristics({"EVEN": lambda args: args["n"] % args["BLOCK"] == 0})
@triton.jit
def _kernel(x_ptr, out_ptr, n, BLOCK: tl.constexpr, EVEN: tl.constexpr):
    offs = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    x = tl.load(x_ptr + offs, mask=offs < n, other=0.0)
    tl.atomic_add(out_ptr + offs, x + BLOCK + EVEN * 1000, mask=offs < n)


def entry(x, out):
    n = x.numel()
    _kernel[lambda meta: (triton.cdiv(n, meta["BLOCK"]),)](x, out, n)
"""
    x = normal(40)

    done, out = run(session, source, inputs={"x": x}, out=torch.empty(40))

    torch.testing.assert_close(out, x + 16)
    assert (done["loaded_bytes"], done["atomic_bytes"], done["masked_bytes"]) == (160, 160, 64)


BLOCK_POINTER = """
@triton.jit
def _kernel(x_ptr, out_ptr, rows, cols):
    source = tl.make_block_ptr(x_ptr, (rows, cols), (cols, 1), (0, 0), (4, 16), (1, 0))
    target = tl.make_block_ptr(out_ptr, (rows, cols), (cols, 1), (0, 0), (4, 16), (1, 0))
    for _ in range(0, cols, 16):
        tile = tl.load(source, boundary_check=(0, 1), padding_option="zero")
        tl.store(target, tile * 2, boundary_check=(0, 1))
        source, target = tl.advance(source, (0, 16)), tl.advance(target, (0, 16))


def entry(x, out):
    _kernel[(1,)](x, out, x.shape[0], x.shape[1])
"""
DEVICE_DESCRIPTOR = """
@triton.jit
def _kernel(x_ptr, out_ptr, rows, cols):
    source = tl.make_tensor_descriptor(x_ptr, (rows, cols), (cols, 1), (4, 16))
    target = tl.make_tensor_descriptor(out_ptr, (rows, cols), (cols, 1), (4, 16))
    for start in range(0, cols, 16):
        target.store([0, start], source.load([0, start]) * 2)


def entry(x, out):
    triton.set_allocator(lambda size, alignment, stream: torch.empty(size, dtype=torch.int8, device="cuda"))
    _kernel[(1,)](x, out, x.shape[0], x.shape[1])
"""
HOST_DESCRIPTOR = """
@triton.jit
def _kernel(source, target, cols):
    for start in range(0, cols, 16):
        target.store([0, start], source.load([0, start]) * 2)


def entry(x, out):
    _kernel[(1,)](TensorDescriptor.from_tensor(x, [4, 16]), TensorDescriptor.from_tensor(out, [4, 16]), x.shape[1])
"""


@pytest.mark.parametrize(
    "source", [BLOCK_POINTER, DEVICE_DESCRIPTOR, HOST_DESCRIPTOR], ids=["block_pointer", "device_descriptor", "host_descriptor"]
)
def test_blocks_by_pointer_and_descriptor_are_counted(session, source):
    x = normal(3, 40)

    done, out = run(session, source, inputs={"x": x}, out=torch.empty(3, 40))

    torch.testing.assert_close(out, x * 2)
    assert done["loaded_bytes"] == done["stored_bytes"] == 3 * 40 * 4
    assert done["masked_bytes"] == 2 * (4 * 48 - 3 * 40) * 4


def test_a_block_pointer_without_boundary_check_is_out_of_bounds(session):
    source = HEAD + BLOCK_POINTER.replace(', boundary_check=(0, 1), padding_option="zero"', "")
    assert session.load(source) == ("loaded", {})

    kind, fault, _ = session.case(inputs={"x": normal(3, 40)}, out=torch.empty(3, 40))

    assert (kind, fault["stage"]) == ("fault", "bounds")
    assert "past the end of x" in fault["text"]


def test_a_step_into_the_next_tensor_is_seen(session):
    source = (
        HEAD
        + """
@triton.jit
def _kernel(a_ptr, out_ptr, distance):
    tl.store(out_ptr, tl.load(a_ptr + distance))


def entry(a, b, out):
    _kernel[(1,)](a, out, (b.data_ptr() - a.data_ptr()) // 4)
"""
    )
    assert session.load(source, arguments=("a", "b", "out")) == ("loaded", {})

    kind, fault, _ = session.case(inputs={"a": normal(8), "b": normal(8)}, out=torch.empty(1))

    assert (kind, fault["stage"]) == ("fault", "bounds")
    assert fault["text"].endswith("past the end of a, by one number.")


@pytest.mark.parametrize(("mask", "said"), [("", "x."), (", mask=lanes < 50", "x, within its mask.")])
def test_a_load_without_a_mask_is_not_said_to_have_one(session, mask, said):
    source = f"""{HEAD}
@triton.jit
def _kernel(x_ptr, out_ptr):
    lanes = tl.arange(0, 64)
    tl.store(out_ptr, tl.sum(tl.load(x_ptr + lanes{mask})))


def entry(x, out):
    _kernel[(1,)](x, out)
"""
    assert session.load(source) == ("loaded", {})

    _, fault, _ = session.case(inputs={"x": normal(8)}, out=torch.empty(1))

    assert fault["text"].endswith(f"past the end of {said}")


def test_kernels_call_functions_of_their_own_and_names_imported_from_the_language(session):
    source = """
from triton.language import load, program_id

SCALE = tl.constexpr(3.0)


@triton.jit
def _scaled(x, by: tl.constexpr = 2):
    return x * by * SCALE


@triton.jit
def _kernel(x_ptr, out_ptr, BLOCK: tl.constexpr):
    offs = program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(out_ptr + offs, _scaled(load(x_ptr + offs)))


def entry(x, out):
    _kernel[(4,)](x, out, BLOCK=8)
"""
    x = normal(32)

    _, out = run(session, source, inputs={"x": x}, out=torch.empty(32))

    torch.testing.assert_close(out, x * 6)


@pytest.mark.parametrize("grid", ["(1, 70000)", "(-1,)", "(1, 1, 1, 1)", "()"])
def test_a_grid_that_no_gpu_takes_is_an_error(session, grid):
    source = HEAD + f"@triton.jit\ndef _kernel(x_ptr):\n    pass\n\n\ndef entry(x, out):\n    _kernel[{grid}](x)  # here\n"
    assert session.load(source) == ("loaded", {})

    kind, fault, _ = session.case(inputs={"x": normal(8)}, out=torch.empty(1))

    assert (kind, fault["stage"], fault["line"]) == ("fault", "run", 12)
    assert "grid=" in fault["text"]
