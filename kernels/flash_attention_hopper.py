"""FlashAttention for Hopper in Gluon: who waits for what is written out, so that copies, products and exponentials overlap.

The contract and the recurrence are those of ``flash_attention``; what differs is how a multiprocessor's warps share the work:

    loader (1 warp)       brings tiles of query, key and value into shared memory with the copy engine (TMA)
    consumers (2 or 3)    warpgroups of 64 query rows each; while one does exponentials, another has the tensor cores

Inside a consumer the scores of tile j are computed while the values of tile j - 1 are multiplied (two asynchronous products in
flight). Programs are persistent: one on each multiprocessor takes tile after tile, so the loader fetches the next tile's data
under the end of the last one. Keys are taken from the last to the first: the tiles that the diagonal or the end of the keys
cuts come first, and the loop over all others has no mask. Under a causal mask a consumer leaves out the tiles that only those
after it see. Where it helps, consumers take turns at the tensor cores (TURNS), the query stays in registers
(QUERY_IN_REGISTERS), and a row's sum is kept in four parts, one a thread, until the end (SUMS_IN_PARTS).

FP8: query, key and value are E4M3 codes, and values come transposed (``flash_attention_fp8``): the matrix instruction takes
8-bit operands only along the axis that is summed over. It wants four neighbouring probabilities in a thread where the first
product left two and two; instead of moving them, each 16 tokens of the values stand in the order of what the threads have. With
three consumers (not OVERLAP) a consumer multiplies its values and computes its next scores one after the other: while it does
exponentials, the other two have the tensor cores.

Source: Shah et al., "FlashAttention-3", 2024, sections 3.1 and 3.2 (https://arxiv.org/abs/2407.08608). Works in base 2.
"""

import math

import torch
from triton.experimental import gluon
from triton.experimental.gluon import language as gl
from triton.experimental.gluon.language.nvidia.hopper import (
    fence_async_shared,
    mbarrier,
    tma,
    warpgroup_mma,
    warpgroup_mma_wait,
)
from triton.experimental.gluon.nvidia.hopper import TensorDescriptor

from kernels import dispatch

ROWS = gl.constexpr(64)  # query rows of a consumer: what one warpgroup's matrix instruction takes
LN_2 = gl.constexpr(0.6931471805599453)
FP8_SHIFT = gl.constexpr(8.0)  # log2 of what FP8's probabilities are multiplied by
# Named barriers of the hardware, one for each consumer; Triton takes low numbers for its own.
BARRIERS = gl.constexpr(("12", "13", "14"))
TYPES = {torch.float16: gl.float16, torch.bfloat16: gl.bfloat16, torch.float8_e4m3fn: gl.float8e4nv}


@gluon.jit
def _in_wave(wave, tiles_m, pairs, pairs_at_once, waves_at_once):
    """The group of pairs that the programs work on in this wave, and the program's tile among those of the group.

    Returns the group's first pair, its number of pairs, and the tile, which may lie beyond the group's last. Every second wave
    goes backwards: under a causal mask tiles come sorted by length, and so no program gets the longest of every wave.
    """
    first_pair = wave // waves_at_once * pairs_at_once
    within = wave % waves_at_once
    program = gl.program_id(0)
    place = program + within % 2 * (gl.num_programs(0) - 1 - 2 * program)
    return first_pair, gl.minimum(pairs_at_once, pairs - first_pair), within * gl.num_programs(0) + place


@gluon.jit
def _tile(
    first_pair, pairs_here, tile, tiles_m, num_heads_q, seqlen_q, seqlen_kv,
    BLOCK_N: gl.constexpr, CONSUMERS: gl.constexpr, CAUSAL: gl.constexpr, CUT: gl.constexpr,
):  # fmt: skip
    """A tile's sequence, head and first query row, and how many tiles of keys it takes (at least one, and at least CUT).

    Under a causal mask the last rows of all pairs come first: they have the most keys.
    """
    if CAUSAL:
        tile_m = tiles_m - 1 - tile // pairs_here
        pair = first_pair + tile % pairs_here
    else:
        tile_m = tile % tiles_m
        pair = first_pair + tile // tiles_m
    row = tile_m * ROWS * CONSUMERS
    stop = seqlen_kv
    if CAUSAL:
        stop = gl.minimum(stop, row + ROWS * CONSUMERS + seqlen_kv - seqlen_q)
    # Tiles beyond the last visible key are wholly masked; the copy engine reads zeros beyond the last key.
    return pair // num_heads_q, pair % num_heads_q, row, gl.maximum(gl.cdiv(stop, BLOCK_N), max(CUT, 1))


@gluon.jit
def _load(
    query_desc, key_desc, value_desc, query_s, key_s, value_s,
    query_full, query_empty, key_full, key_empty, value_full, value_empty,
    tiles_m, pairs, num_heads_q, pairs_at_once, waves_at_once, waves, group_size, seqlen_q, seqlen_kv,
    BLOCK_N: gl.constexpr, STAGES: gl.constexpr, CONSUMERS: gl.constexpr, CAUSAL: gl.constexpr, CUT: gl.constexpr,
    FP8: gl.constexpr,
):  # fmt: skip
    """The loader: keep STAGES tiles of keys and of values on their way."""
    done = 0  # tiles of keys so far, over all tiles of queries
    turn = 0  # tiles of queries so far
    for wave in range(waves):
        first_pair, pairs_here, tile = _in_wave(wave, tiles_m, pairs, pairs_at_once, waves_at_once)
        if tile < pairs_here * tiles_m:
            batch, head, row, blocks = _tile(
                first_pair, pairs_here, tile, tiles_m, num_heads_q, seqlen_q, seqlen_kv, BLOCK_N, CONSUMERS, CAUSAL, CUT
            )  # fmt: skip
            head_kv = head // group_size
            for consumer in gl.static_range(CONSUMERS):
                mbarrier.wait(query_empty.index(consumer), (turn & 1) ^ 1)
                mbarrier.expect(query_full.index(consumer), query_desc.block_type.nbytes)
                tma.async_copy_global_to_shared(
                    query_desc, [batch, head, row + consumer * ROWS, 0], query_full.index(consumer), query_s.index(consumer)
                )  # fmt: skip
            for j in range(blocks):
                slot = (done + j) % STAGES
                phase = (((done + j) // STAGES) & 1) ^ 1
                first = (blocks - 1 - j) * BLOCK_N
                mbarrier.wait(key_empty.index(slot), phase)
                mbarrier.expect(key_full.index(slot), key_desc.block_type.nbytes)
                tma.async_copy_global_to_shared(key_desc, [batch, head_kv, first, 0], key_full.index(slot), key_s.index(slot))
                mbarrier.wait(value_empty.index(slot), phase)
                mbarrier.expect(value_full.index(slot), value_desc.block_type.nbytes)
                if FP8:
                    tma.async_copy_global_to_shared(
                        value_desc, [batch, head_kv, 0, first], value_full.index(slot), value_s.index(slot)
                    )
                else:
                    tma.async_copy_global_to_shared(
                        value_desc, [batch, head_kv, first, 0], value_full.index(slot), value_s.index(slot)
                    )
            done += blocks
            turn += 1


@gluon.jit
def _softmax_step(scores, m_i, l_i, scale_log2, MASKED: gl.constexpr, SUMS_IN_PARTS: gl.constexpr, FP8: gl.constexpr):
    """Probabilities, new maximum (in base 2), new sum, and what the old sum is multiplied by."""
    m_new = gl.maximum(m_i, gl.max(scores, 1) * scale_log2)
    shift = m_new
    if MASKED:
        # A row with no visible key so far has m_new = -inf, and -inf - -inf would be NaN.
        shift = gl.where(m_new == -float("inf"), 0.0, m_new)
    # One fused multiply-add and one exponential a score. The assembler keeps to the order, and each was measured in its own.
    if FP8:
        alpha = gl.exp2(m_i - shift)
        probs = gl.exp2(scores * scale_log2 - (shift - FP8_SHIFT)[:, None])
    else:
        probs = gl.exp2(scores * scale_log2 - shift[:, None])
        alpha = gl.exp2(m_i - shift)
    if SUMS_IN_PARTS:
        parts = _sum_in_parts(probs)
        l_i = l_i * gl.convert_layout(alpha, gl.SliceLayout(1, parts.type.layout))[:, None] + parts
    else:
        l_i = l_i * alpha + gl.sum(probs, 1)
    return probs, m_new, l_i, alpha


@gluon.jit
def _sum_in_parts(probs):
    """[rows, columns] -> [rows, 4]: of the four threads that share a row, each sums what it holds, 2 columns of every 8."""
    pairs = gl.reshape(probs, [probs.shape[0], probs.shape[1] // 8, 4, 2])
    return gl.sum(gl.sum(pairs, 3), 1)


@gluon.jit
def _take_turn(CONSUMER: gl.constexpr):
    """Wait until the consumer before has passed the tensor cores on: 128 threads arrived, 128 wait."""
    _at_barrier("bar.sync ", CONSUMER)


@gluon.jit
def _pass_on(CONSUMER: gl.constexpr, CONSUMERS: gl.constexpr):
    """Let the next consumer's wait end, and go on without waiting."""
    _at_barrier("bar.arrive ", (CONSUMER + 1) % CONSUMERS)


@gluon.jit
def _at_barrier(OPERATION: gl.constexpr, CONSUMER: gl.constexpr):
    """Every thread of this warpgroup does it at a consumer's barrier, which takes 256 threads."""
    thread = gl.arange(0, 128, gl.BlockedLayout([1], [32], [4], [0]))
    instruction: gl.constexpr = OPERATION + BARRIERS[CONSUMER] + ", 256; mov.b32 $0, $1;"
    gl.inline_asm_elementwise(instruction, "=r,r", [thread], dtype=gl.int32, is_pure=False, pack=1)


@gluon.jit
def _step(
    j, done, blocks, probs, acc, m_i, l_i, query, key_s, value_s, key_full, key_empty, value_full, value_empty,
    last_visible, offs_n, zeros, scale_log2,
    BLOCK_N: gl.constexpr, STAGES: gl.constexpr, CONSUMERS: gl.constexpr, MASKED: gl.constexpr, TURNS: gl.constexpr,
    SUMS_IN_PARTS: gl.constexpr, FP8: gl.constexpr, CONSUMER: gl.constexpr,
):  # fmt: skip
    """Scores and softmax of tile j, while the values of tile j - 1 are multiplied."""
    OUT: gl.constexpr = acc.type.layout
    PROBS: gl.constexpr = gl.DotOperandLayout(0, OUT, 4 if FP8 else 2)
    DTYPE: gl.constexpr = value_s.dtype
    slot = (done + j) % STAGES
    before = (done + j - 1) % STAGES
    mbarrier.wait(key_full.index(slot), ((done + j) // STAGES) & 1)
    if TURNS:
        _take_turn(CONSUMER)
    scores = warpgroup_mma(query, _matrix(key_s, slot).permute((1, 0)), zeros, use_acc=False, is_async=True)
    mbarrier.wait(value_full.index(before), ((done + j - 1) // STAGES) & 1)
    operand = _probs_operand(probs, DTYPE, PROBS, FP8)
    acc = warpgroup_mma(operand, _values(value_s, before, FP8), acc, is_async=True)
    if TURNS:
        _pass_on(CONSUMER, CONSUMERS)
    scores = warpgroup_mma_wait(num_outstanding=1, deps=(scores,))
    mbarrier.arrive(key_empty.index(slot), count=1)
    if MASKED:
        scores = gl.where(((blocks - 1 - j) * BLOCK_N + offs_n)[None, :] <= last_visible[:, None], scores, -float("inf"))
    new, m_i, l_i, alpha = _softmax_step(scores, m_i, l_i, scale_log2, MASKED, SUMS_IN_PARTS, FP8)
    acc = warpgroup_mma_wait(num_outstanding=0, deps=(acc,))
    mbarrier.arrive(value_empty.index(before), count=1)
    acc = acc * gl.convert_layout(alpha, gl.SliceLayout(1, OUT))[:, None]
    return _rounded(new, DTYPE, PROBS, FP8), acc, m_i, l_i


@gluon.jit
def _step_in_turn(
    j, done, scores, acc, m_i, l_i, query, key_s, value_s, key_full, key_empty, value_full, value_empty, zeros, scale_log2,
    STAGES: gl.constexpr, SUMS_IN_PARTS: gl.constexpr, FP8: gl.constexpr,
):  # fmt: skip
    """Softmax of tile j, then the product of its values, then the scores of tile j + 1 (not OVERLAP).

    Each product is waited for, and no tile is masked: three warpgroups have too few registers for more.
    """
    OUT: gl.constexpr = acc.type.layout
    PROBS: gl.constexpr = gl.DotOperandLayout(0, OUT, 4 if FP8 else 2)
    DTYPE: gl.constexpr = value_s.dtype
    slot = (done + j) % STAGES
    after = (done + j + 1) % STAGES
    new, m_i, l_i, alpha = _softmax_step(scores, m_i, l_i, scale_log2, False, SUMS_IN_PARTS, FP8)
    operand = _probs_operand(_rounded(new, DTYPE, PROBS, FP8), DTYPE, PROBS, FP8)
    acc = acc * gl.convert_layout(alpha, gl.SliceLayout(1, OUT))[:, None]
    mbarrier.wait(value_full.index(slot), ((done + j) // STAGES) & 1)
    mbarrier.wait(key_full.index(after), ((done + j + 1) // STAGES) & 1)
    acc = warpgroup_mma(operand, _values(value_s, slot, FP8), acc, is_async=True)
    acc = warpgroup_mma_wait(num_outstanding=0, deps=(acc,))
    scores = warpgroup_mma(query, _matrix(key_s, after).permute((1, 0)), zeros, use_acc=False, is_async=True)
    scores = warpgroup_mma_wait(num_outstanding=0, deps=(scores,))
    mbarrier.arrive(value_empty.index(slot), count=1)
    mbarrier.arrive(key_empty.index(after), count=1)
    return scores, acc, m_i, l_i


@gluon.jit
def _rounded(probs, DTYPE: gl.constexpr, OPERAND: gl.constexpr, FP8: gl.constexpr):
    """Probabilities as a loop hands them on: the operand itself, or words of four E4M3, for the loop would take bytes apart.

    No thread has another's. Of 16 columns a thread has 0, 1, 8 and 9, which stand side by side in the operand.
    """
    if FP8:
        COUNT: gl.constexpr = probs.shape[0]
        COLS: gl.constexpr = probs.shape[1]
        probs = gl.permute(gl.reshape(probs, [COUNT, COLS // 16, 2, 4, 2]), (0, 1, 3, 2, 4))
        even, odd = gl.split(gl.reshape(probs, [COUNT, COLS // 4, 2, 2]))
        first, third = gl.split(even)
        second, fourth = gl.split(odd)
        return gl.inline_asm_elementwise(
            """{
            .reg .b16 a, b;
            cvt.rn.satfinite.e4m3x2.f32 a, $2, $1;
            cvt.rn.satfinite.e4m3x2.f32 b, $4, $3;
            mov.b32 $0, {a, b};
            }""",
            "=r,f,f,f,f", [first, second, third, fourth], dtype=gl.int32, is_pure=True, pack=1,
        )  # fmt: skip
    else:  # noqa: RET505 - the compiler leaves out branches not taken, but only those of an if with an else
        return gl.convert_layout(probs.to(DTYPE), OPERAND)


@gluon.jit
def _probs_operand(probs, DTYPE: gl.constexpr, OPERAND: gl.constexpr, FP8: gl.constexpr):
    """What ``_rounded`` made, as the second product takes it."""
    if FP8:
        even = gl.join(probs.to(gl.int8), (probs >> 16).to(gl.int8))
        odd = gl.join((probs >> 8).to(gl.int8), (probs >> 24).to(gl.int8))
        codes = gl.reshape(gl.join(even, odd), [probs.shape[0], 4 * probs.shape[1]])
        return gl.convert_layout(codes, OPERAND).to(DTYPE, bitcast=True)
    else:  # noqa: RET505
        return probs


@gluon.jit
def _values(value_s, slot, FP8: gl.constexpr):
    """A slot's values, [BLOCK_N, HEAD_DIM]."""
    if FP8:
        return _matrix(value_s, slot).permute((1, 0))
    else:  # noqa: RET505
        return _matrix(value_s, slot)


@gluon.jit
def _matrix(buffers, slot):
    """A slot's tile as a matrix: the copy engine sees [1, 1, rows, columns]."""
    tile = buffers.index(slot)
    return tile.reshape([tile.shape[2], tile.shape[3]])


@gluon.jit
def _consume(
    out_desc, lse_ptr, query_scale_ptr, key_scale_ptr, value_scale_ptr, query_s, key_s, value_s, out_s,
    query_full, query_empty, key_full, key_empty, value_full, value_empty,
    tiles_m, pairs, num_heads_q, pairs_at_once, waves_at_once, waves, group_size, seqlen_q, seqlen_kv, softmax_scale_log2,
    HEAD_DIM: gl.constexpr, BLOCK_N: gl.constexpr, STAGES: gl.constexpr, CONSUMERS: gl.constexpr,
    CAUSAL: gl.constexpr, CUT: gl.constexpr, TURNS: gl.constexpr, QUERY_IN_REGISTERS: gl.constexpr,
    SUMS_IN_PARTS: gl.constexpr, FP8: gl.constexpr, OVERLAP: gl.constexpr, CONSUMER: gl.constexpr,
):  # fmt: skip
    """A consumer: 64 rows of each tile of queries."""
    DEPTH: gl.constexpr = 32 if FP8 else 16  # of the matrix instruction
    SCORES: gl.constexpr = gl.NVMMADistributedLayout(version=[3, 0], warps_per_cta=[4, 1], instr_shape=[16, BLOCK_N, DEPTH])
    OUT: gl.constexpr = gl.NVMMADistributedLayout(version=[3, 0], warps_per_cta=[4, 1], instr_shape=[16, HEAD_DIM, DEPTH])
    PROBS: gl.constexpr = gl.DotOperandLayout(operand_index=0, parent=OUT, k_width=DEPTH // 8)
    dtype: gl.constexpr = key_s.dtype
    scale_log2 = softmax_scale_log2
    out_scale = 1.0
    offs_n = gl.arange(0, BLOCK_N, gl.SliceLayout(0, SCORES))
    offs_m = CONSUMER * ROWS + gl.arange(0, ROWS, gl.SliceLayout(1, SCORES))
    zeros = gl.zeros([ROWS, BLOCK_N], gl.float32, SCORES)
    done = 0
    turn = 0
    if TURNS and CONSUMER == CONSUMERS - 1:
        _pass_on(CONSUMER, CONSUMERS)  # the first may begin
    for wave in range(waves):
        first_pair, pairs_here, tile = _in_wave(wave, tiles_m, pairs, pairs_at_once, waves_at_once)
        if tile < pairs_here * tiles_m:
            batch, head, row, blocks = _tile(
                first_pair, pairs_here, tile, tiles_m, num_heads_q, seqlen_q, seqlen_kv, BLOCK_N, CONSUMERS, CAUSAL, CUT
            )  # fmt: skip
            if FP8:
                head_kv = head // group_size
                scale_log2 = softmax_scale_log2 * gl.load(query_scale_ptr + head) * gl.load(key_scale_ptr + head_kv)
                out_scale = gl.load(value_scale_ptr + head_kv)
            last_visible = gl.full([ROWS], 0, gl.int32, gl.SliceLayout(1, SCORES)) + (seqlen_kv - 1)
            if CAUSAL:
                last_visible = gl.minimum(last_visible, row + offs_m + (seqlen_kv - seqlen_q))
                # Tiles that only the rows of later consumers see: taken and given back unread.
                stop = gl.minimum(seqlen_kv, row + (CONSUMER + 1) * ROWS + seqlen_kv - seqlen_q)
                unseen = blocks - gl.maximum(gl.cdiv(gl.maximum(stop, 0), BLOCK_N), max(CUT, 1))
                for _ in range(unseen):
                    slot = done % STAGES
                    mbarrier.wait(key_full.index(slot), (done // STAGES) & 1)
                    mbarrier.arrive(key_empty.index(slot), count=1)
                    if TURNS:
                        _take_turn(CONSUMER)
                        _pass_on(CONSUMER, CONSUMERS)
                    mbarrier.wait(value_full.index(slot), (done // STAGES) & 1)
                    mbarrier.arrive(value_empty.index(slot), count=1)
                    done += 1
                blocks -= unseen

            slot = done % STAGES
            mbarrier.wait(query_full.index(CONSUMER), turn & 1)
            mbarrier.wait(key_full.index(slot), (done // STAGES) & 1)
            if QUERY_IN_REGISTERS:
                query = _matrix(query_s, CONSUMER).load(gl.DotOperandLayout(0, SCORES, DEPTH // 8))
                mbarrier.arrive(query_empty.index(CONSUMER), count=1)
            else:
                query = _matrix(query_s, CONSUMER)
            if TURNS:
                _take_turn(CONSUMER)
            scores = warpgroup_mma(query, _matrix(key_s, slot).permute((1, 0)), zeros, use_acc=False, is_async=True)
            if TURNS:
                _pass_on(CONSUMER, CONSUMERS)
            scores = warpgroup_mma_wait(num_outstanding=0, deps=(scores,))
            mbarrier.arrive(key_empty.index(slot), count=1)
            m_i = gl.full([ROWS], -float("inf"), gl.float32, gl.SliceLayout(1, SCORES))
            l_i = gl.zeros([ROWS], gl.float32, gl.SliceLayout(1, SCORES))
            if SUMS_IN_PARTS:
                l_i = _sum_in_parts(zeros)
            acc = gl.zeros([ROWS, HEAD_DIM], gl.float32, OUT)
            if OVERLAP:
                if CUT > 0:
                    scores = gl.where(
                        ((blocks - 1) * BLOCK_N + offs_n)[None, :] <= last_visible[:, None], scores, -float("inf")
                    )
                new, m_i, l_i, alpha = _softmax_step(scores, m_i, l_i, scale_log2, CUT > 0, SUMS_IN_PARTS, FP8)
                probs = _rounded(new, dtype, PROBS, FP8)
                # A loop for these would hand probabilities to the next loop one by one: packing them costs every step of that.
                for j in gl.static_range(1, CUT):
                    probs, acc, m_i, l_i = _step(
                        j, done, blocks, probs, acc, m_i, l_i, query, key_s, value_s,
                        key_full, key_empty, value_full, value_empty, last_visible, offs_n, zeros, scale_log2,
                        BLOCK_N, STAGES, CONSUMERS, True, TURNS, SUMS_IN_PARTS, FP8, CONSUMER,
                    )  # fmt: skip
                for j in range(max(CUT, 1), blocks):
                    probs, acc, m_i, l_i = _step(
                        j, done, blocks, probs, acc, m_i, l_i, query, key_s, value_s,
                        key_full, key_empty, value_full, value_empty, last_visible, offs_n, zeros, scale_log2,
                        BLOCK_N, STAGES, CONSUMERS, False, TURNS, SUMS_IN_PARTS, FP8, CONSUMER,
                    )  # fmt: skip
            else:
                gl.static_assert(CUT == 0)
                for j in range(blocks - 1):
                    scores, acc, m_i, l_i = _step_in_turn(
                        j, done, scores, acc, m_i, l_i, query, key_s, value_s,
                        key_full, key_empty, value_full, value_empty, zeros, scale_log2, STAGES, SUMS_IN_PARTS, FP8,
                    )  # fmt: skip
                new, m_i, l_i, alpha = _softmax_step(scores, m_i, l_i, scale_log2, False, SUMS_IN_PARTS, FP8)
                acc = acc * gl.convert_layout(alpha, gl.SliceLayout(1, OUT))[:, None]
                probs = _rounded(new, dtype, PROBS, FP8)
            if not QUERY_IN_REGISTERS:
                mbarrier.arrive(query_empty.index(CONSUMER), count=1)
            done += blocks
            turn += 1
            slot = (done - 1) % STAGES
            mbarrier.wait(value_full.index(slot), ((done - 1) // STAGES) & 1)
            operand = _probs_operand(probs, dtype, PROBS, FP8)
            acc = warpgroup_mma(operand, _values(value_s, slot, FP8), acc, is_async=True)
            acc = warpgroup_mma_wait(num_outstanding=0, deps=(acc,))
            mbarrier.arrive(value_empty.index(slot), count=1)

            if SUMS_IN_PARTS:
                l_i = gl.convert_layout(gl.sum(l_i, 1), gl.SliceLayout(1, SCORES))
            # A row with no visible key: l_i = 0, out = 0 / 1, lse = -inf.
            empty = l_i == 0.0
            safe = gl.where(empty, 1.0, l_i)
            shift = FP8_SHIFT if FP8 else 0.0
            lse = gl.where(empty, -float("inf"), (m_i + gl.log2(safe) - shift) * LN_2)
            rows = row + offs_m
            gl.store(lse_ptr + (batch.to(gl.int64) * num_heads_q + head) * seqlen_q + rows, lse, mask=rows < seqlen_q)
            acc = acc * gl.convert_layout(out_scale / safe, gl.SliceLayout(1, OUT))[:, None]
            tma.store_wait(pendings=0)  # the last tile has left the buffer
            _matrix(out_s, CONSUMER).store(acc.to(out_desc.dtype))
            fence_async_shared()
            # rows beyond seqlen_q are not written
            tma.async_copy_shared_to_global(out_desc, [batch, head, row + CONSUMER * ROWS, 0], out_s.index(CONSUMER))
    if TURNS and CONSUMER == 0:
        _take_turn(CONSUMER)  # the last that was passed on: a barrier must not be left half full
    tma.store_wait(pendings=0)


# seqlen_kv = 1 is a constant otherwise: over one key all columns but the first are the same value for the compiler then, and of
# "cvt a, x, x; cvt b, x, x; mov {a, b}" (``_rounded``) ptxas 12.8 leaves the upper half unwritten, which may be NaN.
@gluon.jit(do_not_specialize=["seqlen_kv"])
def _flash_attention_hopper_kernel(
    query_desc, key_desc, value_desc, out_desc, lse_ptr, query_scale_ptr, key_scale_ptr, value_scale_ptr,
    scale_log2, tiles_m, pairs, num_heads_q, pairs_at_once, waves_at_once, waves, group_size, seqlen_q, seqlen_kv,
    HEAD_DIM: gl.constexpr, BLOCK_N: gl.constexpr, STAGES: gl.constexpr, CONSUMERS: gl.constexpr,
    CAUSAL: gl.constexpr, CUT: gl.constexpr, TURNS: gl.constexpr, QUERY_IN_REGISTERS: gl.constexpr,
    SUMS_IN_PARTS: gl.constexpr, FP8: gl.constexpr, OVERLAP: gl.constexpr,
):  # fmt: skip
    """One program = every num_programs-th tile of 64 * CONSUMERS query rows of one head. Grid: (multiprocessors)."""
    dtype: gl.constexpr = query_desc.dtype
    query_s = gl.allocate_shared_memory(dtype, [CONSUMERS, 1, 1, ROWS, HEAD_DIM], query_desc.layout)
    out_s = gl.allocate_shared_memory(out_desc.dtype, [CONSUMERS, 1, 1, ROWS, HEAD_DIM], out_desc.layout)
    key_s = gl.allocate_shared_memory(dtype, [STAGES, 1, 1, BLOCK_N, HEAD_DIM], key_desc.layout)
    value_s = gl.allocate_shared_memory(dtype, [STAGES] + value_desc.block_type.shape, value_desc.layout)
    # "full" is signalled by the copy engine, "empty" by each consumer that reads the buffer
    query_full = gl.allocate_shared_memory(gl.int64, [CONSUMERS, 1], mbarrier.MBarrierLayout())
    query_empty = gl.allocate_shared_memory(gl.int64, [CONSUMERS, 1], mbarrier.MBarrierLayout())
    key_full = gl.allocate_shared_memory(gl.int64, [STAGES, 1], mbarrier.MBarrierLayout())
    key_empty = gl.allocate_shared_memory(gl.int64, [STAGES, 1], mbarrier.MBarrierLayout())
    value_full = gl.allocate_shared_memory(gl.int64, [STAGES, 1], mbarrier.MBarrierLayout())
    value_empty = gl.allocate_shared_memory(gl.int64, [STAGES, 1], mbarrier.MBarrierLayout())
    for consumer in gl.static_range(CONSUMERS):
        mbarrier.init(query_full.index(consumer), count=1)
        mbarrier.init(query_empty.index(consumer), count=1)
    for slot in gl.static_range(STAGES):
        mbarrier.init(key_full.index(slot), count=1)
        mbarrier.init(key_empty.index(slot), count=CONSUMERS)
        mbarrier.init(value_full.index(slot), count=1)
        mbarrier.init(value_empty.index(slot), count=CONSUMERS)

    FIRST: gl.constexpr = 0
    SECOND: gl.constexpr = 1
    THIRD: gl.constexpr = 2
    # Each list is written out: held in a variable, constants would become values of the running program.
    if CONSUMERS == 2:
        gl.warp_specialize(
            [
                (_consume, (
                    out_desc, lse_ptr, query_scale_ptr, key_scale_ptr, value_scale_ptr, query_s, key_s, value_s, out_s,
                    query_full, query_empty, key_full, key_empty, value_full, value_empty,
                    tiles_m, pairs, num_heads_q, pairs_at_once, waves_at_once, waves, group_size,
                    seqlen_q, seqlen_kv, scale_log2, HEAD_DIM, BLOCK_N, STAGES, CONSUMERS, CAUSAL, CUT,
                    TURNS, QUERY_IN_REGISTERS, SUMS_IN_PARTS, FP8, OVERLAP, FIRST,
                )),
                (_consume, (
                    out_desc, lse_ptr, query_scale_ptr, key_scale_ptr, value_scale_ptr, query_s, key_s, value_s, out_s,
                    query_full, query_empty, key_full, key_empty, value_full, value_empty,
                    tiles_m, pairs, num_heads_q, pairs_at_once, waves_at_once, waves, group_size,
                    seqlen_q, seqlen_kv, scale_log2, HEAD_DIM, BLOCK_N, STAGES, CONSUMERS, CAUSAL, CUT,
                    TURNS, QUERY_IN_REGISTERS, SUMS_IN_PARTS, FP8, OVERLAP, SECOND,
                )),
                (_load, (
                    query_desc, key_desc, value_desc, query_s, key_s, value_s,
                    query_full, query_empty, key_full, key_empty, value_full, value_empty,
                    tiles_m, pairs, num_heads_q, pairs_at_once, waves_at_once, waves, group_size, seqlen_q, seqlen_kv,
                    BLOCK_N, STAGES, CONSUMERS, CAUSAL, CUT, FP8,
                )),
            ],
            [4, 1], [240, 24],
        )  # fmt: skip
    else:
        gl.warp_specialize(
            [
                (_consume, (
                    out_desc, lse_ptr, query_scale_ptr, key_scale_ptr, value_scale_ptr, query_s, key_s, value_s, out_s,
                    query_full, query_empty, key_full, key_empty, value_full, value_empty,
                    tiles_m, pairs, num_heads_q, pairs_at_once, waves_at_once, waves, group_size,
                    seqlen_q, seqlen_kv, scale_log2, HEAD_DIM, BLOCK_N, STAGES, CONSUMERS, CAUSAL, CUT,
                    TURNS, QUERY_IN_REGISTERS, SUMS_IN_PARTS, FP8, OVERLAP, FIRST,
                )),
                (_consume, (
                    out_desc, lse_ptr, query_scale_ptr, key_scale_ptr, value_scale_ptr, query_s, key_s, value_s, out_s,
                    query_full, query_empty, key_full, key_empty, value_full, value_empty,
                    tiles_m, pairs, num_heads_q, pairs_at_once, waves_at_once, waves, group_size,
                    seqlen_q, seqlen_kv, scale_log2, HEAD_DIM, BLOCK_N, STAGES, CONSUMERS, CAUSAL, CUT,
                    TURNS, QUERY_IN_REGISTERS, SUMS_IN_PARTS, FP8, OVERLAP, SECOND,
                )),
                (_consume, (
                    out_desc, lse_ptr, query_scale_ptr, key_scale_ptr, value_scale_ptr, query_s, key_s, value_s, out_s,
                    query_full, query_empty, key_full, key_empty, value_full, value_empty,
                    tiles_m, pairs, num_heads_q, pairs_at_once, waves_at_once, waves, group_size,
                    seqlen_q, seqlen_kv, scale_log2, HEAD_DIM, BLOCK_N, STAGES, CONSUMERS, CAUSAL, CUT,
                    TURNS, QUERY_IN_REGISTERS, SUMS_IN_PARTS, FP8, OVERLAP, THIRD,
                )),
                (_load, (
                    query_desc, key_desc, value_desc, query_s, key_s, value_s,
                    query_full, query_empty, key_full, key_empty, value_full, value_empty,
                    tiles_m, pairs, num_heads_q, pairs_at_once, waves_at_once, waves, group_size, seqlen_q, seqlen_kv,
                    BLOCK_N, STAGES, CONSUMERS, CAUSAL, CUT, FP8,
                )),
            ],
            [4, 4, 1], [160, 160, 24],
        )  # fmt: skip


def can_take(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> bool:
    """Whether the copy engine can address these: not float32, head_dim 64 or 128, rows and strides of whole 16 bytes."""
    return (
        query.dtype in TYPES
        and query.shape[-1] in (64, 128)
        and all(
            tensor.data_ptr() % 16 == 0
            and all(stride * tensor.element_size() % 16 == 0 and stride > 0 for stride in tensor.stride()[:-1])
            for tensor in (query, key, value)
        )
    )


def _most_cut(seqlen_q: int, seqlen_kv: int, plan: dispatch.HopperPlan, *, causal: bool) -> int:
    """How many tiles of keys, from the last that a consumer sees, may need a mask: those that the diagonal or the end of the
    keys cuts.
    """
    if not causal:
        return int(seqlen_kv % plan.block_n != 0)
    step = math.gcd(ROWS.value, plan.block_n)
    starts = range((seqlen_kv - seqlen_q) % step, plan.block_n, step)  # where in a tile of keys the first row's diagonal can be
    return max(-(-(start + ROWS.value) // plan.block_n) - (start + 1) // plan.block_n for start in starts)


def launch(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, out: torch.Tensor, lse: torch.Tensor,
    *, causal: bool, scale_log2: float, plan: dispatch.HopperPlan,
    scales: tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None = None,
) -> None:  # fmt: skip
    """Fill out and lse. The arguments are those of ``flash_attention``, checked; seqlen_kv is not 0, and ``can_take`` holds.

    Args:
        scales: of FP8's query, key and value, one number a head; then these are E4M3, and value is what
            ``flash_attention_fp8.transposed`` makes of it.
    """
    batch, num_heads_q, seqlen_q, head_dim = query.shape
    _, num_heads_kv, seqlen_kv, _ = key.shape
    row_block, key_block = [1, 1, ROWS.value, head_dim], [1, 1, plan.block_n, head_dim]
    value_block = [1, 1, head_dim, plan.block_n] if scales else key_block
    tiles_m = -(-seqlen_q // (ROWS.value * plan.consumers))
    pairs = num_heads_q * batch
    group_size = num_heads_q // num_heads_kv
    here = dispatch.device_of(query.device)
    programs = min(here.num_sms, tiles_m * pairs)
    # Two waves at once are even: long tiles, then short ones. Their keys and values are all that the L2 cache has to hold.
    pairs_at_once = max(min(2 * programs // tiles_m, pairs), 1) if causal else pairs
    waves_at_once = -(-pairs_at_once * tiles_m // programs)
    waves = -(-pairs // pairs_at_once) * waves_at_once
    _flash_attention_hopper_kernel[(programs,)](
        _descriptor(query, row_block), _descriptor(key, key_block), _descriptor(value, value_block),
        _descriptor(out, row_block),
        lse, *(scales or (None, None, None)),
        scale_log2, tiles_m, pairs, num_heads_q, pairs_at_once, waves_at_once, waves, group_size,
        seqlen_q, seqlen_kv, HEAD_DIM=head_dim, BLOCK_N=plan.block_n, STAGES=plan.num_stages, CONSUMERS=plan.consumers,
        CAUSAL=causal, CUT=_most_cut(seqlen_q, seqlen_kv, plan, causal=causal), TURNS=plan.turns,
        QUERY_IN_REGISTERS=plan.query_in_registers, SUMS_IN_PARTS=plan.sums_in_parts,
        FP8=scales is not None, OVERLAP=plan.overlap, num_warps=4,
    )  # fmt: skip


def _descriptor(tensor: torch.Tensor, block: list[int]) -> TensorDescriptor:
    """How the copy engine moves blocks of this tensor."""
    return TensorDescriptor.from_tensor(tensor, block, gl.NVMMASharedLayout.get_default_for(block, TYPES[tensor.dtype]))
