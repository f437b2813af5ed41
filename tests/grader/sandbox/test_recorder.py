"""Records made without a GPU: what is launched, with what, for every target; and what cannot be recorded."""

import struct

import pytest
import torch
from session_process import WorkerProcess
from triton.tools.tensor_descriptor import TensorDescriptor

from grader.sandbox.record import cubin
from grader.sandbox.record.commands import Choice, Fill, Launch, Pointer, Scalar, TensorMap
from grader.sandbox.record.format import parse
from grader.sandbox.record.gpus import GPUS

pytestmark = pytest.mark.process

HEAD = """\
import torch
import triton
import triton.language as tl
from triton.tools.tensor_descriptor import TensorDescriptor

"""

# Softmax of long rows: maxima and sums of pieces into scratch, then the division.
SPLIT_SOFTMAX = """
@triton.jit
def _pieces(x_ptr, max_ptr, sum_ptr, cols, PIECE: tl.constexpr, SPLITS: tl.constexpr):
    row, split = tl.program_id(0), tl.program_id(1)
    offs = split * PIECE + tl.arange(0, PIECE)
    x = tl.load(x_ptr + row * cols + offs, mask=offs < cols, other=-float("inf"))
    m = tl.max(x, 0)
    tl.store(max_ptr + row * SPLITS + split, m)
    tl.store(sum_ptr + row * SPLITS + split, tl.sum(tl.exp(x - m), 0))


@triton.jit
def _divide(x_ptr, out_ptr, max_ptr, sum_ptr, cols, PIECE: tl.constexpr, SPLITS: tl.constexpr):
    row, split = tl.program_id(0), tl.program_id(1)
    pieces = row * SPLITS + tl.arange(0, SPLITS)
    m, l = tl.load(max_ptr + pieces), tl.load(sum_ptr + pieces)
    total = tl.sum(l * tl.exp(m - tl.max(m, 0)), 0)
    offs = split * PIECE + tl.arange(0, PIECE)
    x = tl.load(x_ptr + row * cols + offs, mask=offs < cols, other=0.0)
    tl.store(out_ptr + row * cols + offs, tl.exp(x - tl.max(m, 0)) / total, mask=offs < cols)


def entry(x, out):
    rows, cols = x.shape
    piece, splits = 1024, triton.next_power_of_2(triton.cdiv(cols, 1024))
    maxima = torch.empty(rows, splits, device=x.device)
    sums = torch.zeros(rows, splits, device="cuda")
    _pieces[(rows, splits)](x, maxima, sums, cols, piece, splits, num_warps=8)
    _divide[(rows, splits)](x, out, maxima, sums, cols, piece, splits)
"""

ATTENTION = """
@triton.jit
def _attention(
    query_ptr, key_ptr, value_ptr, out_ptr, seqlen, softmax_scale, D: tl.constexpr, M: tl.constexpr, N: tl.constexpr
):
    head = tl.program_id(1).to(tl.int64) * seqlen * D
    offs_m, offs_n, offs_d = tl.program_id(0) * M + tl.arange(0, M), tl.arange(0, N), tl.arange(0, D)
    query = tl.load(query_ptr + head + offs_m[:, None] * D + offs_d[None, :])
    m_i, l_i = tl.full([M], -float("inf"), tl.float32), tl.zeros([M], tl.float32)
    acc = tl.zeros([M, D], tl.float32)
    for start in range(0, seqlen, N):
        tile = head + (start + offs_n)[:, None] * D + offs_d[None, :]
        scores = tl.dot(query, tl.load(key_ptr + tile).T) * softmax_scale
        m_new = tl.maximum(m_i, tl.max(scores, 1))
        probs, alpha = tl.exp(scores - m_new[:, None]), tl.exp(m_i - m_new)
        l_i, m_i = l_i * alpha + tl.sum(probs, 1), m_new
        acc = tl.dot(probs.to(tl.float16), tl.load(value_ptr + tile), acc * alpha[:, None])
    tl.store(out_ptr + head + offs_m[:, None] * D + offs_d[None, :], (acc / l_i[:, None]).to(tl.float16))


def entry(query, key, value, out, softmax_scale):
    batch, heads, seqlen, head_dim = query.shape
    _attention[(seqlen // 64, batch * heads)](query, key, value, out, seqlen, softmax_scale, head_dim, 64, 32)
"""

COPY = """
@triton.jit
def _copy(x_ptr, out_ptr, n, BLOCK: tl.constexpr):
    offs = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(out_ptr + offs, tl.load(x_ptr + offs, mask=offs < n), mask=offs < n)
"""


@pytest.fixture(scope="module")
def session():
    process = WorkerProcess("record")
    yield process
    process.close()


def record(session, source, *, inputs, out, scalars=None, target="sm_90"):
    arguments = (*inputs, "out", *(scalars or {}))
    assert session.load(HEAD + source, arguments=arguments, target=target) == ("loaded", {})
    return parse(session.record(inputs=inputs, out=out, scalars=scalars), arguments=arguments)


def refusal(session, source, **options):
    x = torch.empty(64)
    assert session.load(HEAD + COPY + source) == ("loaded", {})
    kind, fault, _ = session.case(inputs={"x": x}, out=torch.empty(64), **options)
    assert kind == "fault", fault
    return fault


def i32(value):
    return Scalar(type="i32", data=struct.pack("<i", value))


def test_a_softmax_with_scratch(session):
    made = record(session, SPLIT_SOFTMAX, inputs={"x": torch.empty(5, 3000)}, out=torch.empty(5, 3000))

    fill, pieces, divide = made.commands
    assert made.scratch == (5 * 4 * 4, 5 * 4 * 4)
    assert fill == Fill(buffer=1, offset=0, size=80, pattern=b"\0")
    assert (pieces.kernel, pieces.grid, pieces.num_warps) == ("_pieces", (5, 4, 1), 8)
    null = Pointer(buffer=None)
    scratch = (Pointer(buffer=0), Pointer(buffer=1))
    assert pieces.parameters == (Pointer(buffer="x"), *scratch, i32(3000), null, null)
    assert (divide.kernel, divide.grid, divide.num_warps) == ("_divide", (5, 4, 1), 4)
    assert divide.parameters == (Pointer(buffer="x"), Pointer(buffer="out"), *scratch, i32(3000), null, null)
    assert [binary.cubin[:4] for binary in made.binaries] == [b"\x7fELF"] * 2
    assert ".entry _pieces" in made.binaries[0].ptx


@pytest.mark.parametrize("target", GPUS)
def test_an_attention_for_every_target(session, target):
    tensor = torch.empty(1, 2, 128, 64, dtype=torch.float16)
    inputs = {"query": tensor, "key": tensor, "value": tensor}

    made = record(session, ATTENTION, inputs=inputs, out=tensor, scalars={"softmax_scale": 0.125}, target=target)

    (launch,) = made.commands
    assert (made.target, launch.grid, launch.kernel) == (target, (2, 2, 1), "_attention")
    assert launch.parameters[4:6] == (i32(128), Scalar(type="fp32", data=struct.pack("<f", 0.125)))
    facts = cubin.facts(made.binaries[0].cubin).kernels["_attention"]
    assert 32 <= facts.registers <= 255
    assert facts.threads == 32 * launch.num_warps


def test_a_binary_is_kept_once_however_often_it_is_launched(session):
    source = COPY + "\n\ndef entry(x, out):\n    for _ in range(3):\n        _copy[(2,)](x, out, 64, 32)\n"

    made = record(session, source, inputs={"x": torch.empty(64)}, out=torch.empty(64))

    assert len(made.binaries) == 1
    assert [launch.binary for launch in made.commands] == [0, 0, 0]


def test_specialisations_that_compile_to_the_same_code_are_one_binary(session):
    source = """
@triton.jit
def _scaled(x_ptr, out_ptr, times):
    offs = tl.arange(0, 64)
    tl.store(out_ptr + offs, tl.load(x_ptr + offs) * times)


def entry(x, out):
    _scaled[(1,)](x, out, 16)
    _scaled[(1,)](x, out, 17)
"""

    made = record(session, HEAD + source, inputs={"x": torch.empty(64)}, out=torch.empty(64))

    assert len(made.binaries) == 1
    assert [launch.binary for launch in made.commands] == [0, 0]


def test_views_are_offsets(session):
    source = COPY + "\n\ndef entry(x, out):\n    _copy[(1,)](x[3, 4:], out[5:], 4, 32)\n"

    made = record(session, source, inputs={"x": torch.empty(8, 8)}, out=torch.empty(64))

    assert made.commands[0].parameters[:2] == (Pointer(buffer="x", offset=28 * 4), Pointer(buffer="out", offset=20))


def test_fills_are_commands_in_order(session):
    source = (
        COPY
        + """

def entry(x, out):
    out.zero_()
    scratch = torch.full((4, 6), 1.5, device="cuda", dtype=torch.float16)
    _copy[(1,)](x, out, 64, 32)
    scratch[1:3, 2:4].fill_(-1)
    torch.ones(3, dtype=torch.int64, device="cuda")
    torch.zeros(0, device="cuda")
"""
    )
    made = record(session, source, inputs={"x": torch.empty(64)}, out=torch.empty(64))

    assert made.scratch == (48, 24)
    first, second, launch, *rest = made.commands
    assert first == Fill(buffer="out", offset=0, size=256, pattern=b"\0")
    assert second == Fill(buffer=0, offset=0, size=48, pattern=struct.pack("<e", 1.5))
    assert isinstance(launch, Launch)
    minus_one = struct.pack("<e", -1)
    assert rest == [
        Fill(buffer=0, offset=16, size=4, pattern=minus_one),
        Fill(buffer=0, offset=28, size=4, pattern=minus_one),
        Fill(buffer=1, offset=0, size=24, pattern=struct.pack("<q", 1)),
    ]


def test_an_autotuner_records_every_configuration_that_compiles(session):
    source = COPY.replace(
        "@triton.jit\ndef _copy",
        """
CONFIGS = [triton.Config({"BLOCK": block}, num_warps=warps) for block in (32, 64) for warps in (1, 4)]


@triton.autotune(CONFIGS + [triton.Config({"BLOCK": 1}, num_warps=2)], key=["n"], reset_to_zero=["out_ptr"])
@triton.jit
def _copy""",
    ).replace("    offs = ", "    tl.static_assert(BLOCK > 1)\n    offs = ")
    source += '\n\ndef entry(x, out):\n    _copy[lambda meta: (triton.cdiv(64, meta["BLOCK"]),)](x, out, 64)\n'

    made = record(session, source, inputs={"x": torch.empty(64)}, out=torch.empty(64))

    (choice,) = made.commands
    assert isinstance(choice, Choice)
    assert len(choice.alternatives) == 4
    for alternative, grid, warps in zip(choice.alternatives, (2, 2, 1, 1), (1, 4, 1, 4), strict=True):
        fill, launch = alternative.commands
        assert fill == Fill(buffer="out", offset=0, size=256, pattern=b"\0")
        assert (launch.grid, launch.num_warps) == ((grid, 1, 1), warps)
        assert f"num_warps: {warps}" in alternative.label


HOST_DESCRIPTOR = """
@triton.jit
def _kernel(source, target, cols, BLOCK: tl.constexpr):
    for start in range(0, cols, BLOCK):
        target.store([0, start], source.load([0, start]) * 2)


def entry(x, out):
    source = TensorDescriptor(x, list(x.shape), list(x.stride()), [4, 32])
    target = TensorDescriptor(out, list(out.shape), list(out.stride()), [4, 32])
    _kernel[(1,)](source, target, x.shape[1], 32)
"""


@pytest.mark.parametrize(
    ("dtype", "data_type"), [(torch.float16, 6), (torch.float32, 7), (torch.bfloat16, 9), (torch.uint8, 0), (torch.int32, 3)]
)
def test_descriptors_made_on_the_host_are_maps(session, dtype, data_type):
    x = torch.empty(4, 96, dtype=dtype)

    made = record(session, HOST_DESCRIPTOR, inputs={"x": x}, out=torch.empty_like(x))

    tensor_map, *numbers = made.commands[0].parameters[:5]
    assert isinstance(tensor_map, TensorMap)
    assert (tensor_map.buffer, tensor_map.offset, tensor_map.data_type, tensor_map.nan_fill) == ("x", 0, data_type, False)
    assert (tensor_map.shape, tensor_map.strides, tensor_map.box) == ((96, 4), (96 * dtype.itemsize,), (32, 4))
    assert [int.from_bytes(number.data, "little") for number in numbers] == [4, 96, 96, 1]


def test_descriptors_of_a_target_without_tma_are_taken_apart(session):
    x = torch.empty(4, 96, dtype=torch.float16)

    made = record(session, HOST_DESCRIPTOR, inputs={"x": x}, out=torch.empty_like(x), target="sm_80")

    flags = [0] * (1 + hasattr(TensorDescriptor, "round_f32_to_tf32"))  # Triton 3.6 has padding alone
    pointer, *numbers = made.commands[0].parameters[: 9 + len(flags)]
    assert pointer == Pointer(buffer="x")
    assert [int.from_bytes(number.data, "little") for number in numbers] == [4, 96, 96, 1, *flags, 4, 96, 96, 1]


def test_descriptors_made_on_the_device_get_scratch(session):
    source = """
@triton.jit
def _kernel(x_ptr, out_ptr, rows, cols):
    source = tl.make_tensor_descriptor(x_ptr, (rows, cols), (cols, 1), (4, 32))
    target = tl.make_tensor_descriptor(out_ptr, (rows, cols), (cols, 1), (4, 32))
    target.store([0, 0], source.load([0, 0]))


def entry(x, out):
    scratch = torch.empty(10, device="cuda")
    triton.set_allocator(lambda size, alignment, stream: torch.empty(size, device="cuda", dtype=torch.int8))
    _kernel[(2, 3)](x, out, 4, 96)
"""
    made = record(session, source, inputs={"x": torch.empty(4, 96)}, out=torch.empty(4, 96))

    *_, scratch, profile = made.commands[0].parameters
    assert (scratch, profile) == (Pointer(buffer=1), Pointer(buffer=None))
    assert made.scratch[0] == 40
    assert made.scratch[1] % 6 == 0 and made.scratch[1] >= 6 * 2 * 128


def test_clusters_cooperative_and_programmatic_launches(session):
    source = COPY + "\n\ndef entry(x, out):\n"
    source += "    _copy[(1,)](x, out, 64, 64, num_ctas=2)\n"
    source += "    _copy[(1,)](x, out, 64, 64, launch_cooperative_grid=True, launch_pdl=True)\n"

    made = record(session, source, inputs={"x": torch.empty(64)}, out=torch.empty(64))

    cluster, together = made.commands
    assert (cluster.num_ctas, cluster.cooperative, cluster.pdl) == (2, False, False)
    assert (together.num_ctas, together.cooperative, together.pdl) == (1, True, True)


def test_a_gluon_kernel(session):
    source = """
from triton.experimental import gluon
from triton.experimental.gluon import language as gl


@gluon.jit
def _copy(x_ptr, out_ptr, n, BLOCK: gl.constexpr):
    offs = gl.program_id(0) * BLOCK + gl.arange(0, BLOCK, layout=gl.BlockedLayout([1], [32], [4], [0]))
    gl.store(out_ptr + offs, gl.load(x_ptr + offs, mask=offs < n), mask=offs < n)


def entry(x, out):
    _copy[(2,)](x, out, 60, 32, num_warps=4)
"""
    made = record(session, source, inputs={"x": torch.empty(64)}, out=torch.empty(64))

    (launch,) = made.commands
    assert (launch.kernel, launch.grid) == ("_copy", (2, 1, 1))
    assert launch.parameters[:3] == (Pointer(buffer="x"), Pointer(buffer="out"), i32(60))


def test_scalars_of_every_type_and_tuples(session):
    source = """
@triton.jit
def _kernel(out_ptr, pair, flag, big, half: tl.float16, number: tl.float64, one, nothing):
    value = pair[0] + pair[1] + half + number.to(tl.float32) + one
    tl.store(out_ptr, value + big, mask=flag)


def entry(x, out):
    _kernel[(1,)](out, (2, 0.5), True, 1 << 40, 0.25, 3.0, 1, None)
"""
    made = record(session, source, inputs={"x": torch.empty(64)}, out=torch.empty(64))

    assert made.commands[0].parameters[1:7] == (
        i32(2),
        Scalar(type="fp32", data=struct.pack("<f", 0.5)),
        Scalar(type="u1", data=b"\1"),
        Scalar(type="i64", data=struct.pack("<q", 1 << 40)),
        Scalar(type="fp16", data=struct.pack("<e", 0.25)),
        Scalar(type="fp64", data=struct.pack("<d", 3.0)),
    )


def test_large_shapes_cost_no_memory(session):
    source = COPY + "\n\ndef entry(x, out):\n    torch.zeros(1 << 34, device='cuda')\n    _copy[(2,)](x, out, 64, 32)\n"
    form = torch.empty(0).as_strided((0,), (1,))
    assert session.load(HEAD + source) == ("loaded", {})

    made = parse(session.record(inputs={"x": form}, out=torch.empty(64)), arguments=("x", "out"))

    assert made.scratch == (1 << 36,)
    assert made.commands[1].parameters[0] == Pointer(buffer=None)


# What cannot be


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("x.max().item()", ".max() reads a tensor's values on the host"),
        ("x[0].item()", "reads a tensor's values on the host"),
        ("torch.empty_like(x).copy_(x)", ".copy_() is not allowed here"),
        ("for _ in range(65):\n        _copy[(2,)](x, out, 64, 32)", "one call may make 64 launches"),
        ("_copy[(2,)](KEPT, out, 64, 32)", "neither got nor made in this call"),
        ("torch.zeros(200, 2, device='cuda')[:, 0].fill_(1)", "a fill of a strided view"),
        ("for _ in range(257):\n        torch.empty(1, device='cuda')", "allocates 257 tensors"),
        ("torch.empty(1 << 20, device='cuda')", "4,194,304 bytes of scratch; this case allows 4,096"),
    ],
)
def test_what_cannot_be_recorded_is_refused(session, body, said):
    kept = "\n\nKEPT = torch.zeros(64, device='cuda')\n"

    fault = refusal(session, f"{kept}\n\ndef entry(x, out):\n    {body}\n", scratch_limit_bytes=4096)

    assert fault["stage"] == "refused"
    assert said in fault["text"]


def test_cases_share_the_configurations(session):
    configs = "[triton.Config({'BLOCK': 32}, num_warps=w, num_stages=s) for w in (1, 2, 4) for s in (1, 2, 3, 4)]"
    tuned = f"\n\n_tuned = triton.autotune({configs}, key=[])(_copy)\n\n\ndef entry(x, out):\n    _tuned[(2,)](x, out, 64)\n"
    assert session.load(HEAD + COPY + tuned) == ("loaded", {})

    def labels(**how):
        form = {"inputs": {"x": torch.empty(64)}, "out": torch.empty(64)}
        (choice,) = parse(session.record(**form, **how), arguments=("x", "out")).commands
        return [alternative.label for alternative in choice.alternatives]

    first, second, third, timed = labels(turn=0), labels(turn=1), labels(turn=2), labels()

    assert (len(first), len(second), len(third), len(timed)) == (8, 4, 1, 12)
    assert set(first) | set(second) == set(timed)


def test_options_of_every_launch_can_be_overridden(session):
    assert session.load(HEAD + COPY + "\n\ndef entry(x, out):\n    _copy[(2,)](x, out, 64, 32, num_warps=4)\n")[0] == "loaded"
    form = {"inputs": {"x": torch.empty(64)}, "out": torch.empty(64)}

    (launch,) = parse(session.record(**form, compile_with={"num_warps": 1}), arguments=("x", "out")).commands

    assert launch.num_warps == 1


def test_a_warmed_up_kernel_can_be_asked_and_launched(session):
    source = """

def entry(x, out):
    kernel = _copy.warmup(x, out, 64, 32, grid=(1,), num_warps=2)
    kernel._init_handles()
    assert 8 <= kernel.n_regs <= 255 and kernel.n_spills == 0 and kernel.metadata.num_warps == 2
    kernel[(2, 1, 1)](x, out, 64, 32)
"""

    made = record(session, COPY + source, inputs={"x": torch.empty(64)}, out=torch.empty(64))

    assert [launch.grid for launch in made.commands] == [(2, 1, 1)]


def test_too_many_configurations_are_refused(session):
    configs = "[triton.Config({'BLOCK': 32}, num_stages=n) for n in range(1, 66)]"
    tuned = f"\n\n_tuned = triton.autotune({configs}, key=[])(_copy)\n\n\ndef entry(x, out):\n    _tuned[(2,)](x, out, 64)\n"

    fault = refusal(session, tuned)

    assert (fault["stage"], fault["text"]) == ("refused", "_copy has 65 configurations; 64 are allowed.")


@pytest.mark.parametrize(
    ("kernel", "said"),
    [
        ("x = tl.arange(0, 7)  # here", "power of 2"),
        ("x = tl.nothing(n)  # here", "nothing"),
        ("x = tl.zeros([16, 8], tl.float32)\n    x = tl.dot(x, tl.trans(x))  # here", "K >= 16"),
        ("x = tl.load(n)  # here", "Unsupported ptr type"),
    ],
)
def test_a_compile_error_has_the_learners_line(session, kernel, said):
    source = HEAD + COPY.replace("    offs = tl", f"    {kernel}\n    offs = tl")
    source += "\n\ndef entry(x, out):\n    _copy[(2,)](x, out, 64, 32)\n"
    assert session.load(source) == ("loaded", {})

    kind, fault, _ = session.case(inputs={"x": torch.empty(64)}, out=torch.empty(64))

    assert (kind, fault["stage"]) == ("fault", "compile")
    assert said in fault["text"]
    assert fault["line"] == next(n for n, line in enumerate(source.splitlines(), 1) if "# here" in line)


def test_too_much_shared_memory_is_a_compile_error(session):
    source = ATTENTION.replace("head_dim, 64, 32)", "head_dim, 64, 64, num_stages=8)")
    tensor = torch.empty(1, 1, 128, 128, dtype=torch.float16)
    names = ("query", "key", "value", "out", "softmax_scale")
    assert session.load(HEAD + source, arguments=names, target="sm_86") == ("loaded", {})

    inputs = dict.fromkeys(names[:3], tensor)
    kind, fault, _ = session.case(inputs=inputs, out=tensor, scalars={"softmax_scale": 1.0})

    assert (kind, fault["stage"], fault["error_type"]) == ("fault", "compile", "OutOfResources")
