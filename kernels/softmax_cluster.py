"""The softmax of long rows on Hopper, in Gluon: a row lies in the registers of a cluster of programs, so it is read once.

Each program of the cluster holds a piece of the row with its maximum m_i and sum l_i = sum(exp(x - m_i)); each writes the two
into the shared memory of all others, they wait for one another once, and each has what the whole row needs:

    m = max_i m_i;  l = sum_i l_i * exp(m_i - m);  out = exp(x - m_i) * (exp(m_i - m) / l)

The hardware starts the programs of a cluster together on neighbouring multiprocessors, so none can wait for one that is not
there, and the exchange does not pass through memory.

Source: NVIDIA, "PTX ISA", sections "mapa", "st" and "barrier.cluster" (https://docs.nvidia.com/cuda/parallel-thread-execution/).
"""

import functools

import torch
from triton.experimental import gluon
from triton.experimental.gluon import language as gl

from kernels.dispatch import SoftmaxPlan

LOG2_E = gl.constexpr(1.4426950408889634)
LOG2_E_HEX = "0f3FB8AA3B"  # the same float32 as PTX spells it
# Nobody may write into a program that has not started: each says that it has, and the others wait just before they write.
STARTED = gl.constexpr("barrier.cluster.arrive.relaxed.aligned; mov.b32 $0, $1;")


@functools.cache
def _exchange(pieces: int) -> str:
    """PTX: this program's maximum and sum in ($2, $3), the row's out ($0, $1). Thread i tells program i."""
    each = range(pieces)
    read = "\n".join(f"ld.shared.v2.f32 {{m{i}, l{i}}}, [parts + {8 * i}];" for i in each)
    highest = "\n".join(f"max.f32 m, m, m{i};" for i in each)
    add = "\n".join(
        f"sub.f32 m{i}, m{i}, m; mul.f32 m{i}, m{i}, {LOG2_E_HEX}; ex2.approx.ftz.f32 m{i}, m{i}; fma.rn.f32 l, l{i}, m{i}, l;"
        for i in each
    )
    return f"""{{
        .shared .align 8 .b8 parts[{8 * pieces}];
        .reg .pred tells;
        .reg .b32 thread, rank, place;
        .reg .f32 m, l, {", ".join(f"m{i}, l{i}" for i in each)};
        mov.u32 thread, %tid.x;
        mov.u32 rank, %cluster_ctarank;
        mov.u32 place, parts;
        mad.lo.u32 place, rank, 8, place;
        setp.lt.u32 tells, thread, {pieces};
        @tells mapa.shared::cluster.u32 place, place, thread;
        barrier.cluster.wait.acquire.aligned;
        @tells st.shared::cluster.v2.f32 [place], {{$2, $3}};
        barrier.cluster.arrive.release.aligned;
        barrier.cluster.wait.acquire.aligned;
        {read}
        mov.f32 m, m0;
        {highest}
        mov.f32 l, 0f00000000;
        {add}
        mov.f32 $0, m;
        mov.f32 $1, l;
    }}"""


@gluon.jit
def _softmax_cluster_kernel(
    x_ptr, out_ptr, cols, stride_x, stride_out,
    PIECES: gl.constexpr, BLOCK: gl.constexpr, LAYOUT: gl.constexpr, EXCHANGE: gl.constexpr,
):  # fmt: skip
    """A cluster of PIECES programs = one row; each has BLOCK columns. Grid: (rows)."""
    row = gl.program_id(0).to(gl.int64)
    piece = gl.arange(0, PIECES, gl.SliceLayout(1, LAYOUT))  # of the cluster; a program holds one
    gl.inline_asm_elementwise(STARTED, "=r,r", [piece], dtype=gl.int32, is_pure=False, pack=1)
    offsets = piece[:, None] * BLOCK + gl.arange(0, BLOCK, gl.SliceLayout(0, LAYOUT))[None, :]
    mask = offsets < cols
    # read cols
    x = gl.load(x_ptr + row * stride_x + offsets, mask=mask, other=-float("inf")).to(gl.float32)
    m_piece = gl.max(x, 1)
    # -inf - -inf is NaN: a piece in which nothing stands has the sum 0.
    shift = gl.where(m_piece == -float("inf"), 0.0, m_piece)
    numerator = gl.exp2((x - shift[:, None]) * LOG2_E)
    l_piece = gl.sum(numerator, 1)
    m, l = gl.inline_asm_elementwise(
        EXCHANGE, "=f,=f,f,f", [m_piece, l_piece], dtype=(gl.float32, gl.float32), is_pure=False, pack=1
    )
    out = numerator * (gl.exp2((shift - m) * LOG2_E) / l)[:, None]
    # write cols
    gl.store(out_ptr + row * stride_out + offsets, out.to(out_ptr.dtype.element_ty), mask=mask)


def launch(x: torch.Tensor, out: torch.Tensor, plan: SoftmaxPlan) -> None:
    """Write the softmax of x's rows into out; shapes, dtypes and strides have been checked.

    Args:
        x, out: [rows, cols], cols at most plan.pieces * plan.block. Rows that begin at multiples of 16 bytes are fast.
    """
    rows, cols = x.shape
    bases = [[1 << bit, 0] for bit in range(plan.pieces.bit_length() - 1)]  # program i of a cluster has piece i
    layout = gl.BlockedLayout([1, 16 // x.element_size()], [1, 32], [1, plan.num_warps], [1, 0], cga_layout=bases)
    _softmax_cluster_kernel[(rows,)](
        x, out, cols, x.stride(0), out.stride(0),
        PIECES=plan.pieces, BLOCK=plan.block, LAYOUT=layout, EXCHANGE=_exchange(plan.pieces),
        num_warps=plan.num_warps, num_ctas=plan.pieces,
    )  # fmt: skip
