"""The softmax of long rows on Hopper, in Gluon: a row lies in the registers of a cluster of programs, so it is read once.

Each warp of the cluster holds a part of the row with its maximum m_i and sum l_i = sum(exp(x - m_i)); it writes the two into
the shared memory of all programs, waits until those of all warps have come, and has what the whole row needs:

    m = max_i m_i;  l = sum_i l_i * exp(m_i - m);  out = exp(x - m_i) * (exp(m_i - m) / l)

The hardware starts the programs of a cluster together on neighbouring multiprocessors, so none can wait for one that is not
there, and the exchange does not pass through memory. What is written counts itself in at a barrier of the program it is written
to (``st.async``): no thread waits for its own writes, and no warp for the others of its program but there. Registers are so
few that two clusters or three share the multiprocessors: while one loads, another waits or stores.

Source: NVIDIA, "PTX ISA", sections "mapa", "st.async", "mbarrier" and "barrier.cluster"
(https://docs.nvidia.com/cuda/parallel-thread-execution/).
"""

import functools

import torch
from triton.experimental import gluon
from triton.experimental.gluon import language as gl

from kernels.cluster import HEADER_BYTES, prepare
from kernels.dispatch import SoftmaxPlan

LOG2_E = gl.constexpr(1.4426950408889634)
LOG2_E_HEX = "0f3FB8AA3B"  # the same float32 as PTX spells it
VECTOR_BYTES = 16  # of a thread's load
REGISTERS = 65536  # of a multiprocessor
PAIR_BYTES = 8  # a maximum and a sum


@functools.cache
def _exchange(pieces: int, num_warps: int) -> str:
    """PTX: this warp's maximum and sum in ($3, $4), the row's out ($0, $1); $2 is what ``prepare`` gave.

    Lane i tells program i. Then each lane reads an equal share of the pairs, and the lanes put theirs together.
    """
    parts = pieces * num_warps
    lanes = min(parts, 32)
    share = range(parts // lanes)
    halvings = [1 << bit for bit in range(lanes.bit_length() - 1)]
    read = "\n".join(f"ld.shared.v2.f32 {{m{i}, l{i}}}, [pairs + {8 * i}];" for i in share)
    highest = "\n".join(f"max.f32 m, m, m{i};" for i in share)
    highest_of_all = "\n".join(f"shfl.sync.bfly.b32 other, m, {step}, 31, -1; max.f32 m, m, other;" for step in halvings)
    add = "\n".join(
        f"sub.f32 m{i}, m{i}, m; mul.f32 m{i}, m{i}, {LOG2_E_HEX}; ex2.approx.ftz.f32 m{i}, m{i}; fma.rn.f32 l, l{i}, m{i}, l;"
        for i in share
    )
    add_all = "\n".join(f"shfl.sync.bfly.b32 other, l, {step}, 31, -1; add.f32 l, l, other;" for step in halvings)
    return f"""{{
        .reg .pred tells, done;
        .reg .b32 thread, lane, part, pairs, there, barrier_there;
        .reg .f32 m, l, other, {", ".join(f"m{i}, l{i}" for i in share)};
        mov.u32 thread, %tid.x;
        mov.u32 lane, %laneid;
        shr.u32 thread, thread, 5;
        mov.u32 part, %cluster_ctarank;
        mad.lo.u32 part, part, {num_warps}, thread;
        add.u32 pairs, $2, {HEADER_BYTES};
        mad.lo.u32 there, part, 8, pairs;
        setp.lt.u32 tells, lane, {pieces};
        @tells mapa.shared::cluster.u32 there, there, lane;
        @tells mapa.shared::cluster.u32 barrier_there, $2, lane;
        barrier.cluster.wait.acquire.aligned;
        @tells st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.v2.f32 [there], {{$3, $4}}, [barrier_there];
        and.b32 lane, lane, {lanes - 1};
        mad.lo.u32 pairs, lane, {8 * len(share)}, pairs;
    WAITS:
        mbarrier.try_wait.parity.shared::cta.b64 done, [$2], 0;
        @!done bra WAITS;
        {read}
        mov.f32 m, m0;
        {highest}
        {highest_of_all}
        mov.f32 l, 0f00000000;
        {add}
        {add_all}
        mov.f32 $0, m;
        mov.f32 $1, l;
    }}"""


@gluon.jit
def _softmax_cluster_kernel(
    x_ptr, out_ptr, cols, stride_x, stride_out,
    PIECES: gl.constexpr, BLOCK: gl.constexpr, WARPS: gl.constexpr, RUN: gl.constexpr, MASKED: gl.constexpr,
    LAYOUT: gl.constexpr, PREPARE: gl.constexpr, EXCHANGE: gl.constexpr,
):  # fmt: skip
    """A cluster of PIECES programs = one row; each has BLOCK columns, which its warps share in turns of RUN. Grid: (rows)."""
    row = gl.program_id(0).to(gl.int64)
    part = gl.arange(0, PIECES * WARPS, gl.SliceLayout(1, LAYOUT))  # of the cluster; a warp holds one
    place = gl.inline_asm_elementwise(PREPARE, "=r,r", [part], dtype=gl.int32, is_pure=False, pack=1)
    column = gl.arange(0, BLOCK // WARPS, gl.SliceLayout(0, LAYOUT))
    first = part // WARPS * BLOCK + part % WARPS * RUN
    offsets = first[:, None] + (column // RUN * (RUN * WARPS) + column % RUN)[None, :]
    # read cols
    if MASKED:
        x = gl.load(x_ptr + row * stride_x + offsets, mask=offsets < cols, other=-float("inf")).to(gl.float32)
    else:
        x = gl.load(x_ptr + row * stride_x + offsets).to(gl.float32)
    m_part = gl.max(x, 1)
    # -inf - -inf is NaN: a part in which nothing stands has the sum 0.
    shift = gl.where(m_part == -float("inf"), 0.0, m_part)
    numerator = gl.exp2((x - shift[:, None]) * LOG2_E)
    l_part = gl.sum(numerator, 1)
    m, l = gl.inline_asm_elementwise(
        EXCHANGE, "=f,=f,r,f,f", [place, m_part, l_part], dtype=(gl.float32, gl.float32), is_pure=False, pack=1
    )
    out = (numerator * (gl.exp2((shift - m) * LOG2_E) / l)[:, None]).to(out_ptr.dtype.element_ty)
    # write cols
    if MASKED:
        gl.store(out_ptr + row * stride_out + offsets, out, mask=offsets < cols)
    else:
        gl.store(out_ptr + row * stride_out + offsets, out)


def launch(x: torch.Tensor, out: torch.Tensor, plan: SoftmaxPlan) -> None:
    """Write the softmax of x's rows into out; shapes, dtypes and strides have been checked.

    Args:
        x, out: [rows, cols], cols at most plan.pieces * plan.block. Rows that begin at multiples of 16 bytes are fast.
    """
    rows, cols = x.shape
    vector = VECTOR_BYTES // x.element_size()
    bases = [[1 << bit, 0] for bit in range(plan.pieces.bit_length() - 1)]  # program i of a cluster has the i-th WARPS parts
    layout = gl.BlockedLayout([1, vector], [1, 32], [plan.num_warps, 1], [1, 0], cga_layout=bases)
    room = PAIR_BYTES * plan.pieces * plan.num_warps
    _softmax_cluster_kernel[(rows,)](
        x, out, cols, x.stride(0), out.stride(0),
        PIECES=plan.pieces, BLOCK=plan.block, WARPS=plan.num_warps, RUN=32 * vector, MASKED=cols < plan.pieces * plan.block,
        LAYOUT=layout, PREPARE=prepare(room, room), EXCHANGE=_exchange(plan.pieces, plan.num_warps),
        num_warps=plan.num_warps, num_ctas=plan.pieces, maxnreg=REGISTERS // (2 * 32 * plan.num_warps),
    )  # fmt: skip
