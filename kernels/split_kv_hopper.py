"""The merge of a split cache in Gluon: what ``split_kv.merge_when_last`` does, for kernels that choose their layouts.

Two steps as there, and in each a few splits are loaded at once: one program that reads all of them in sequence takes longer
(8 us for 64 splits) than all else after the last tile.
"""

from triton.experimental import gluon
from triton.experimental.gluon import language as gl

LN_2 = gl.constexpr(0.6931471805599453)
FAN = gl.constexpr(8)  # splits that are merged in the first step
barrier = gl.barrier if hasattr(gl, "barrier") else gl.thread_barrier  # renamed in Triton 3.7


@gluon.jit
def _rows(COUNT: gl.constexpr, LAYOUT: gl.constexpr, AXIS: gl.constexpr):
    """[COUNT] along one of the first two axes of a layout of three."""
    return gl.arange(0, COUNT, gl.SliceLayout(1 - AXIS, gl.SliceLayout(2, LAYOUT)))


@gluon.jit
def _merged(
    partial_out_ptr, partial_lse_ptr, first, count, step,
    GROUP_SIZE: gl.constexpr, HEAD_DIM: gl.constexpr, GROUP_MERGE: gl.constexpr, LAYOUT: gl.constexpr,
):  # fmt: skip
    """out [GROUP_MERGE, HEAD_DIM] and log2 of the sum of exponentials of ``count`` splits, ``step`` apart, FAN at a time."""
    split = gl.expand_dims(_rows(FAN, LAYOUT, 0), 1)
    head = gl.expand_dims(_rows(GROUP_MERGE, LAYOUT, 1), 0)
    column = gl.arange(0, HEAD_DIM, gl.SliceLayout(0, gl.SliceLayout(0, LAYOUT)))
    column = gl.expand_dims(gl.expand_dims(column, 0), 0)
    acc = gl.zeros([GROUP_MERGE, HEAD_DIM], gl.float32, gl.SliceLayout(0, LAYOUT))
    m_i = gl.full([GROUP_MERGE], -float("inf"), gl.float32, gl.SliceLayout(0, gl.SliceLayout(2, LAYOUT)))
    l_i = gl.zeros([GROUP_MERGE], gl.float32, gl.SliceLayout(0, gl.SliceLayout(2, LAYOUT)))
    for taken in range(0, count, FAN):
        rows = (first + (taken + split) * step) * GROUP_SIZE + head
        mask = (taken + split < count) & (head < GROUP_SIZE)
        # .cg reads L2, where the other programs' results are; L1 may hold older ones
        lse = gl.load(partial_lse_ptr + rows, mask=mask, other=-float("inf"), cache_modifier=".cg")
        mask = gl.expand_dims(mask, 2).broadcast_to([FAN, GROUP_MERGE, HEAD_DIM])
        part = gl.load(
            partial_out_ptr + gl.expand_dims(rows, 2) * HEAD_DIM + column, mask=mask, other=0.0, cache_modifier=".cg"
        )  # fmt: skip
        m_new = gl.maximum(m_i, gl.max(lse, 0))
        shift = gl.where(m_new == -float("inf"), 0.0, m_new)  # all splits without keys: -inf - -inf would be NaN
        weight = gl.exp2(lse - gl.expand_dims(shift, 0))
        alpha = gl.exp2(m_i - shift)
        l_i = l_i * alpha + gl.sum(weight, 0)
        acc = acc * _beside(alpha, acc) + gl.sum(part * gl.expand_dims(weight, 2), 0)
        m_i = m_new
    inverse, lse_log2 = inverse_and_lse(m_i, l_i)
    return acc * _beside(inverse, acc), lse_log2


@gluon.jit
def _beside(rows, matrix):
    """[rows] -> [rows, 1], in the layout of a matrix."""
    return gl.expand_dims(gl.convert_layout(rows, gl.SliceLayout(1, matrix.type.layout)), 1)


@gluon.jit
def inverse_and_lse(m_i, l_i):
    """1 / l_i and the log2 of the sum of exponentials; 0 and -inf where there were no keys."""
    empty = l_i == 0.0
    safe = gl.where(empty, 1.0, l_i)
    return gl.where(empty, 0.0, 1.0 / safe), gl.where(empty, -float("inf"), m_i + gl.log2(safe))


@gluon.jit
def store_rows(out_ptr, lse_ptr, row, out, lse, GROUP_SIZE: gl.constexpr):
    """out: [heads, HEAD_DIM] and lse: [heads], of which the first GROUP_SIZE exist, to the rows from ``row`` on."""
    head = gl.expand_dims(gl.arange(0, out.shape[0], gl.SliceLayout(1, out.type.layout)), 1)
    column = gl.expand_dims(gl.arange(0, out.shape[1], gl.SliceLayout(0, out.type.layout)), 0)
    to = out_ptr + (row + head) * out.shape[1] + column
    gl.store(to, out.to(out_ptr.dtype.element_ty), mask=(head < GROUP_SIZE).broadcast_to(out.shape))
    head = gl.arange(0, lse.shape[0], lse.type.layout)
    gl.store(lse_ptr + row + head, lse, mask=head < GROUP_SIZE)


@gluon.jit
def _is_last(arrived_ptr, expected):
    """Count this program in; whether it is the last of those expected. The last one leaves zero, for the next launch."""
    barrier()  # every thread's partial results are written before one thread counts the program in
    last = gl.atomic_add(arrived_ptr, 1, sem="acq_rel", scope="gpu") == expected - 1
    if last:
        gl.store(arrived_ptr, 0)
    return last


@gluon.jit
def merge_when_last(
    partial_out_ptr, partial_lse_ptr, arrived_ptr, out_ptr, lse_ptr, pair, num_kv_splits,
    GROUP_SIZE: gl.constexpr, HEAD_DIM: gl.constexpr, GROUP_MERGE: gl.constexpr, WARPS: gl.constexpr,
):  # fmt: skip
    """Merge all splits of this program's pair (a sequence and a kv head), if nothing is left to arrive: first FAN by FAN.

    Same contract as ``split_kv.merge_when_last``: so many counters, and all of them zero afterwards.
    """
    LAYOUT: gl.constexpr = gl.BlockedLayout(
        [1, 1, 4], [1, 1, 32], [1, min(WARPS, GROUP_MERGE), max(WARPS // GROUP_MERGE, 1)], [2, 1, 0]
    )
    counts = arrived_ptr + pair * (num_kv_splits + 1)
    fans = gl.cdiv(num_kv_splits, FAN)
    fan = gl.program_id(0) // FAN
    size = gl.minimum(num_kv_splits - fan * FAN, FAN)
    if _is_last(counts + fan, size):
        first = pair * num_kv_splits
        out, lse_log2 = _merged(
            partial_out_ptr, partial_lse_ptr, first + fan * FAN, size, 1, GROUP_SIZE, HEAD_DIM, GROUP_MERGE, LAYOUT
        )
        complete = fans == 1
        if fans > 1:
            barrier()  # all of the fan is read before the merged result takes the place of its first split
            store_rows(partial_out_ptr, partial_lse_ptr, (first + fan * FAN) * GROUP_SIZE, out, lse_log2, GROUP_SIZE)
            complete = _is_last(counts + num_kv_splits, fans)
            if complete:
                out, lse_log2 = _merged(
                    partial_out_ptr, partial_lse_ptr, first, fans, FAN, GROUP_SIZE, HEAD_DIM, GROUP_MERGE, LAYOUT
                )
        if complete:
            store_rows(out_ptr, lse_ptr, pair * GROUP_SIZE, out, lse_log2 * LN_2, GROUP_SIZE)
