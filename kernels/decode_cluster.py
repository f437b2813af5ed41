"""The merge of a cache that a cluster of programs shares: their partial results pass through shared memory (``cluster``).

Each program is told, by all of its cluster, what they found for the columns of the output that are its own, and merges that.
Same formula as ``split_kv``, without its fence, its count and its way to memory and back; lse is in base 2 until it leaves.
"""

from triton.experimental import gluon
from triton.experimental.gluon import language as gl

from kernels import cluster
from kernels.split_kv_hopper import LN_2, inverse_and_lse

HEADER_BYTES = gl.constexpr(cluster.HEADER_BYTES)
ALL_PREPARED = gl.constexpr("barrier.cluster.wait.acquire.aligned; mov.u32 $0, $1;")
# Four columns of a head ($4 to $7) to program $8: to its address $12, and their lse ($16) to $20 where $24 is 2; nothing where
# it is 0. The barrier: $28. The address of each is the same in all programs, and mapa makes it the other program's.
TELL = gl.constexpr("""{
    .reg .pred exists, first;
    .reg .b32 there, lse_there, barrier_there;
    setp.ne.u32 exists, $24, 0;
    setp.eq.u32 first, $24, 2;
    mapa.shared::cluster.u32 there, $12, $8;
    mapa.shared::cluster.u32 lse_there, $20, $8;
    mapa.shared::cluster.u32 barrier_there, $28, $8;
    @exists st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.v4.f32 [there], {$4, $5, $6, $7}, [barrier_there];
    @first st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.f32 [lse_there], $16, [barrier_there];
    mov.u32 $0, 0; mov.u32 $1, 0; mov.u32 $2, 0; mov.u32 $3, 0;
}""")
TOLD = gl.constexpr("""{
    .reg .pred done;
WAITS:
    mbarrier.try_wait.parity.shared::cta.b64 done, [$1], 0;
    @!done bra WAITS;
    mov.u32 $0, $1;
}""")


def exchange_bytes(programs: int, heads: int, head_dim: int) -> int:
    """What a program is told: the lse of each head by each program, and as many columns by all programs as an output has."""
    return 4 * heads * (programs + head_dim)


@gluon.jit
def merge_and_store(place, out, lse_log2, out_ptr, lse_ptr, row, GROUP_SIZE: gl.constexpr, WARPS: gl.constexpr):
    """Merge what the programs found, and store it to the rows from ``row`` on.

    place: of the exchange, of this program; out: [programs, HEADS, HEAD_DIM] and lse_log2: [programs, HEADS], each program's
    own, of whose heads the first GROUP_SIZE exist.
    """
    PROGRAMS: gl.constexpr = out.shape[0]
    HEADS: gl.constexpr = out.shape[1]
    COLS: gl.constexpr = out.shape[2] // PROGRAMS
    OUT: gl.constexpr = out.type.layout
    me, head, column = _axes(out.shape, OUT)
    place = gl.inline_asm_elementwise(ALL_PREPARED, "=r,r", [place], dtype=gl.int32, is_pure=False, pack=1)
    lse_place = place + HEADER_BYTES
    out_place = lse_place + 4 * PROGRAMS * HEADS
    lse = gl.expand_dims(gl.convert_layout(lse_log2, gl.SliceLayout(2, OUT)), 2)
    told = gl.where(head < GROUP_SIZE, gl.where(column % COLS == 0, 2, 1), 0)
    gl.inline_asm_elementwise(
        TELL, "=r,=r,=r,=r,f,f,f,f,r,r,r,r,r,r,r,r,f,f,f,f,r,r,r,r,r,r,r,r,r,r,r,r",
        [
            out,
            _like(out, column // COLS),
            _like(out, out_place + 4 * ((me * HEADS + head) * COLS + column % COLS)),
            lse.broadcast_to(out.shape),
            _like(out, lse_place + 4 * (me * HEADS + head)),
            _like(out, told),
            _like(out, place),
        ],
        dtype=gl.int32, is_pure=False, pack=4,
    )  # fmt: skip
    place = gl.inline_asm_elementwise(TOLD, "=r,r", [place], dtype=gl.int32, is_pure=False, pack=1)
    BY_ALL: gl.constexpr = _layout_by_all(PROGRAMS, HEADS, COLS, WARPS)
    source, head, column = _axes([PROGRAMS, HEADS, COLS], gl.SliceLayout(0, BY_ALL))
    lse_place = place + HEADER_BYTES
    out_place = lse_place + 4 * PROGRAMS * HEADS
    lse = _told(lse_place + 4 * (source * HEADS + head) + 0 * column, BY_ALL)
    part = _told(out_place + 4 * ((source * HEADS + head) * COLS + column), BY_ALL)
    m = gl.max(lse, 1)
    shift = gl.where(m == -float("inf"), 0.0, m)  # no program had a key: -inf - -inf would be NaN
    weight = gl.exp2(lse - gl.expand_dims(shift, 1))
    inverse, lse = inverse_and_lse(shift, gl.sum(weight, 1))
    out = gl.sum(part * weight, 1) * inverse
    me, head, column = _axes(out.shape, gl.SliceLayout(1, BY_ALL))
    exists = (head < GROUP_SIZE).broadcast_to(out.shape)
    to = row + head
    gl.store(out_ptr + (to * (PROGRAMS * COLS) + me * COLS + column), out.to(out_ptr.dtype.element_ty), mask=exists)
    gl.store(lse_ptr + (to + 0 * (me + column)), lse * LN_2, mask=exists & (me == 0) & (column == 0))


@gluon.jit
def _axes(SHAPE: gl.constexpr, LAYOUT: gl.constexpr):
    """[a, 1, 1], [1, b, 1] and [1, 1, c]: an index along each of three axes."""
    a = gl.arange(0, SHAPE[0], gl.SliceLayout(1, gl.SliceLayout(2, LAYOUT)))
    b = gl.arange(0, SHAPE[1], gl.SliceLayout(0, gl.SliceLayout(2, LAYOUT)))
    c = gl.arange(0, SHAPE[2], gl.SliceLayout(0, gl.SliceLayout(0, LAYOUT)))
    return (
        gl.expand_dims(gl.expand_dims(a, 1), 2),
        gl.expand_dims(gl.expand_dims(b, 0), 2),
        gl.expand_dims(gl.expand_dims(c, 0), 0),
    )


@gluon.jit
def _like(tensor, value):
    """An integer for each number of a tensor."""
    return gl.full(tensor.shape, 0, gl.int32, tensor.type.layout) + value


@gluon.jit
def _told(addresses, LAYOUT: gl.constexpr):
    """addresses: [programs, heads, columns], the same in each program -> [programs, programs, heads, columns], its own each."""
    me = gl.arange(0, addresses.shape[0], gl.SliceLayout(1, gl.SliceLayout(2, gl.SliceLayout(3, LAYOUT))))
    me = gl.expand_dims(gl.expand_dims(gl.expand_dims(me, 1), 2), 3)
    return gl.inline_asm_elementwise(
        "ld.shared.f32 $0, [$1];", "=f,r", [gl.expand_dims(addresses, 0) + 0 * me], dtype=gl.float32, is_pure=False, pack=1
    )  # fmt: skip


@gluon.constexpr_function
def _layout_by_all(programs, heads, cols, warps):
    """[programs, programs, heads, columns]: a thread has what all programs say of a head's column, or of several."""

    def bits(count, base):
        return [[number << bit for number in base] for bit in range(count.bit_length() - 1)]

    rows = 32 // cols  # heads of a warp
    apart = min(warps, heads // rows)
    registers = bits(programs, [0, 1, 0, 0]) + bits(heads // (rows * apart), [0, 0, rows * apart, 0])
    threads = bits(cols, [0, 0, 0, 1]) + bits(rows, [0, 0, 1, 0])
    by_warp = bits(apart, [0, 0, rows, 0]) + bits(warps // apart, [0, 0, 0, 0])
    return gl.DistributedLinearLayout(
        registers, threads, by_warp, bits(programs, [1, 0, 0, 0]), [programs, programs, heads, cols]
    )
