"""The softmax of rows three ways: naive, safe, and online; the step from each to the next is one line of arithmetic.

    naive    exp(x) / sum(exp(x))                      overflows beyond x = 88.7 in float32
    safe     m = max(x);  exp(x - m) / sum(exp(x - m))
    online   m and l = sum(exp(x - m)) of all tiles so far:
                 m_new = max(m, max(tile));  l = l * exp(m - m_new) + sum(exp(tile - m_new))

Naive and safe hold a whole row in registers: one read, one write. Online needs one tile at a time, so rows of any length: it
reads a row twice, the second time backwards, because its end is what the L2 cache still holds.
The kernels work in base 2: exp(x) = exp2(x * log2(e)), and exp2 is what the hardware has.

Source: Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018, Algorithm 3 (https://arxiv.org/abs/1805.02867).
"""

import torch
import triton
import triton.language as tl

from kernels.checks import (
    FLOAT_DTYPES,
    interpreting,
    require_dense_rows,
    require_device,
    require_dims,
    require_dtype,
    require_shape,
)
from kernels.dispatch import SoftmaxPlan, softmax_plan

LOG2_E = tl.constexpr(1.4426950408889634)
MAX_COLS_IN_REGISTERS = 32768  # 64 values for each of the 512 threads; beyond, they spill to memory


@triton.jit
def _naive_kernel(x_ptr, out_ptr, cols, stride_x, stride_out, BLOCK: tl.constexpr):
    """One program = one row, whole. Grid: (rows)."""
    row = tl.program_id(0).to(tl.int64)
    offsets = tl.arange(0, BLOCK)
    mask = offsets < cols
    # read cols
    x = tl.load(x_ptr + row * stride_x + offsets, mask=mask, other=-float("inf")).to(tl.float32)
    numerator = tl.exp2(x * LOG2_E)
    out = numerator / tl.sum(numerator, axis=0)
    # write cols
    tl.store(out_ptr + row * stride_out + offsets, out.to(out_ptr.dtype.element_ty), mask=mask)


@triton.jit
def _safe_kernel(x_ptr, out_ptr, cols, stride_x, stride_out, BLOCK: tl.constexpr):
    """One program = one row, whole. Grid: (rows)."""
    row = tl.program_id(0).to(tl.int64)
    offsets = tl.arange(0, BLOCK)
    mask = offsets < cols
    # read cols
    x = tl.load(x_ptr + row * stride_x + offsets, mask=mask, other=-float("inf")).to(tl.float32)
    numerator = tl.exp2((x - tl.max(x, axis=0)) * LOG2_E)
    out = numerator / tl.sum(numerator, axis=0)
    # write cols
    tl.store(out_ptr + row * stride_out + offsets, out.to(out_ptr.dtype.element_ty), mask=mask)


@triton.jit
def _online_step(m_i, l_i, tile):
    """Take one more tile into the running maximum and the running sum of each lane."""
    m_new = tl.maximum(m_i, tile)
    # -inf - -inf is NaN: a lane that has seen nothing yet keeps l_i = 0, whatever it is multiplied by.
    shift = tl.where(m_new == -float("inf"), 0.0, m_new)
    l_i = l_i * tl.exp2((m_i - shift) * LOG2_E) + tl.exp2((tile - shift) * LOG2_E)
    return m_new, l_i


@triton.jit
def _online_kernel(
    x_ptr, out_ptr,
    rows, cols, stride_x, stride_out,
    BLOCK: tl.constexpr, NUM_STAGES: tl.constexpr,
):  # fmt: skip
    """One program = every num_programs-th row. Grid: (programs that the L2 cache has room for)."""
    lane = tl.arange(0, BLOCK)
    num_tiles = tl.cdiv(cols, BLOCK)
    for row in range(tl.program_id(0).to(tl.int64), rows, tl.num_programs(0)):
        x_row = x_ptr + row * stride_x
        out_row = out_ptr + row * stride_out

        # Each lane keeps a maximum and a sum of its own; they meet once, after the last tile.
        m_i = tl.full([BLOCK], -float("inf"), tl.float32)
        l_i = tl.zeros([BLOCK], tl.float32)
        for tile in tl.range(num_tiles, num_stages=NUM_STAGES):
            offsets = tile * BLOCK + lane
            # read cols, from memory; keep them in L2
            x = tl.load(x_row + offsets, mask=offsets < cols, other=-float("inf"), eviction_policy="evict_last")
            m_i, l_i = _online_step(m_i, l_i, x.to(tl.float32))
        m = tl.max(m_i, axis=0)
        l = tl.sum(l_i * tl.exp2((m_i - m) * LOG2_E), axis=0)
        inverse = 1.0 / l

        for step in tl.range(num_tiles, num_stages=NUM_STAGES):
            offsets = (num_tiles - 1 - step) * BLOCK + lane
            mask = offsets < cols
            # read cols again, from L2 where they fit; write cols
            x = tl.load(x_row + offsets, mask=mask, other=-float("inf"), eviction_policy="evict_first").to(tl.float32)
            out = tl.exp2((x - m) * LOG2_E) * inverse
            tl.store(out_row + offsets, out.to(out_ptr.dtype.element_ty), mask=mask, cache_modifier=".cs")


def softmax_naive(x: torch.Tensor, out: torch.Tensor | None = None) -> torch.Tensor:
    """The softmax of each row without subtracting the maximum: inf / inf = NaN where x exceeds 88.7, on purpose.

        out[r, c] = exp(x[r, c]) / sum_j exp(x[r, j])

    Same arguments and errors as ``softmax_safe``.
    """
    return _rows_in_registers(_naive_kernel, x, out)


def softmax_safe(x: torch.Tensor, out: torch.Tensor | None = None) -> torch.Tensor:
    """The softmax of each row, a whole row in registers.

        out[r, c] = exp(x[r, c] - m[r]) / sum_j exp(x[r, j] - m[r]),    m[r] = max_j x[r, j]

    Args:
        x: [rows, cols], up to 32768 columns; float16, bfloat16 or float32. Rows may lie apart. -inf may stand in a row; a row
            of nothing else is NaN, as in PyTorch.
        out: like x; default a new tensor.

    Returns:
        out. Arithmetic is in float32.

    Raises:
        ValueError: shapes, dtypes or devices do not fit together, or the rows are too long.
    """
    return _rows_in_registers(_safe_kernel, x, out)


def softmax_online(x: torch.Tensor, out: torch.Tensor | None = None, *, plan: SoftmaxPlan | None = None) -> torch.Tensor:
    """The softmax of rows of any length.

    Same contract as ``softmax_safe``, without its limit on the columns. The plan (default: ``kernels.dispatch.softmax_plan``)
    says which of three kernels runs: a row in one program's registers, in those of a cluster of programs
    (``softmax_cluster``), or in none, tile by tile, twice.
    """
    out = _checked_out(x, out)
    rows, cols = x.shape
    if rows == 0 or cols == 0:
        return out
    strides = (x.stride(0), out.stride(0))
    aligned = all(number * x.element_size() % 16 == 0 for number in strides) and x.data_ptr() % 16 == out.data_ptr() % 16 == 0
    plan = plan or softmax_plan(x.device, cols, aligned=aligned, interpreting=interpreting())
    if plan.kernel == "registers":
        _safe_kernel[(rows,)](x, out, cols, *strides, BLOCK=plan.block, num_warps=plan.num_warps)
    elif plan.kernel == "cluster":
        from kernels.softmax_cluster import launch  # Gluon is loaded only where it runs

        launch(x, out, plan)
    else:
        _online_kernel[(min(plan.programs, rows),)](
            x, out, rows, cols, *strides,
            BLOCK=plan.block, NUM_STAGES=plan.num_stages, num_warps=plan.num_warps,
        )  # fmt: skip
    return out


def _rows_in_registers(kernel, x: torch.Tensor, out: torch.Tensor | None) -> torch.Tensor:
    out = _checked_out(x, out)
    rows, cols = x.shape
    if cols > MAX_COLS_IN_REGISTERS:
        raise ValueError(
            f"cols={cols} must not exceed {MAX_COLS_IN_REGISTERS}, what registers hold; softmax_online has no limit"
        )
    if rows and cols:
        block = triton.next_power_of_2(cols)
        kernel[(rows,)](x, out, cols, x.stride(0), out.stride(0), BLOCK=block, num_warps=min(max(block // 1024, 1), 16))
    return out


def _checked_out(x: torch.Tensor, out: torch.Tensor | None) -> torch.Tensor:
    require_dims(2, x=x)
    if out is None:
        out = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    require_device(x=x, out=out)
    require_dtype(FLOAT_DTYPES, x=x, out=out)
    require_shape(tuple(x.shape), "[rows, cols]", out=out)
    require_dense_rows(x=x, out=out)
    return out
