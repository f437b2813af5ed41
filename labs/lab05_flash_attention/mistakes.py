"""The mistakes to recognise in FlashAttention, each an edit of a right answer."""

from labs.mistake import Edit, Entry

MISTAKES = (
    Entry(
        name="acc_in_fp16",
        verdict="not_finite",
        what="acc is an fp16 tile.",
        diagnosis="acc is kept in fp16",
        base="honest/small_tiles.py",
        edits=(
            Edit(
                "acc = tl.zeros([BLOCK_M, HEAD_DIM], tl.float32)", "acc = tl.zeros([BLOCK_M, HEAD_DIM], v_ptr.dtype.element_ty)"
            ),
            Edit(
                "acc = acc * alpha[:, None] + tl.dot(probs.to(v.dtype), v)",
                "acc = (acc * alpha[:, None] + tl.dot(probs.to(v.dtype), v)).to(v.dtype)",
            ),
        ),
    ),
    Entry(
        name="max_not_subtracted",
        verdict="not_finite",
        what="exp of the raw scores.",
        diagnosis="subtract the row's running maximum",
        base="honest/small_tiles.py",
        edits=(
            Edit('m_i = tl.full([BLOCK_M], -float("inf"), tl.float32)', "m_i = tl.full([BLOCK_M], 0.0, tl.float32)"),
            Edit("m_new = tl.maximum(m_i, tl.max(scores, axis=1))", "m_new = tl.zeros([BLOCK_M], tl.float32)"),
        ),
    ),
    Entry(
        name="max_starts_at_zero",
        verdict="not_finite",
        what="The running maximum starts at 0.",
        diagnosis="running maximum starts at 0",
        base="honest/small_tiles.py",
        edits=(Edit('m_i = tl.full([BLOCK_M], -float("inf"), tl.float32)', "m_i = tl.zeros([BLOCK_M], tl.float32)"),),
    ),
    Entry(
        name="value_strides_assumed",
        verdict="not_finite",
        what="The value is taken to be contiguous.",
        diagnosis="value has gaps between its rows",
        base="honest/small_tiles.py",
        edits=(
            Edit(
                "*query.stride()[:3], *key.stride()[:3], *value.stride()[:3],",
                "*query.stride()[:3], *key.stride()[:3], heads * key.shape[2] * head_dim, key.shape[2] * head_dim, head_dim,",
            ),
        ),
    ),
    Entry(
        name="one_tile_of_queries",
        verdict="not_written",
        what="The grid has one tile of queries a head.",
        diagnosis="never written",
        base="honest/small_tiles.py",
        edits=(Edit("attention_kernel[(triton.cdiv(seqlen_q, 16), batch * heads)](", "attention_kernel[(1, batch * heads)]("),),
    ),
    Entry(
        name="store_without_mask",
        verdict="out_of_bounds",
        what="The last tile stores rows past the end.",
        diagnosis="past the end of out",
        base="honest/small_tiles.py",
        edits=(
            Edit(
                "tl.store(out_ptr + offs_m[:, None] * HEAD_DIM + offs_d[None, :], result.to(out_ptr.dtype.element_ty), mask=mask_m)",
                "tl.store(out_ptr + offs_m[:, None] * HEAD_DIM + offs_d[None, :], result.to(out_ptr.dtype.element_ty))",
            ),
        ),
    ),
    Entry(
        name="acc_not_rescaled",
        verdict="wrong_answer",
        what="acc keeps the scale of an old maximum.",
        diagnosis="l is rescaled when the maximum grows, acc is not",
        base="honest/small_tiles.py",
        edits=(Edit("acc = acc * alpha[:, None] + tl.dot(probs.to(v.dtype), v)", "acc = acc + tl.dot(probs.to(v.dtype), v)"),),
    ),
    Entry(
        name="batch_and_head_swapped",
        verdict="wrong_answer",
        what="pid // batch … in place of pid // heads.",
        diagnosis="offset of batch and head is wrong",
        base="honest/small_tiles.py",
        edits=(
            Edit(
                """
                batch = (tl.program_id(1) // heads).to(tl.int64)
                head = (tl.program_id(1) % heads).to(tl.int64)
                """,
                """
                batches = tl.num_programs(1) // heads
                batch = (tl.program_id(1) % batches).to(tl.int64)
                head = (tl.program_id(1) // batches).to(tl.int64)
                """,
            ),
        ),
    ),
    Entry(
        name="causal",
        verdict="wrong_answer",
        what="Masks the future though nobody asked.",
        diagnosis="causal attention",
        base="honest/small_tiles.py",
        edits=(
            Edit(
                'scores = tl.where(mask_n[None, :], scores, -float("inf"))',
                'scores = tl.where(mask_n[None, :] & (offs_n[None, :] <= offs_m[:, None]), scores, -float("inf"))',
            ),
        ),
    ),
    Entry(
        name="divided_twice",
        verdict="wrong_answer",
        what="The result is divided by l once more.",
        diagnosis="divided by l twice",
        base="honest/small_tiles.py",
        edits=(Edit("result = acc / l_i[:, None]", "result = acc / l_i[:, None] / l_i[:, None]"),),
    ),
    Entry(
        name="exp2_without_log2e",
        verdict="wrong_answer",
        what="exp2 in place of exp.",
        diagnosis="softmax is in base 2",
        base="honest/small_tiles.py",
        edits=(
            Edit(
                """
                alpha = tl.exp(m_i - m_new)
                probs = tl.exp(scores - m_new[:, None])
                """,
                """
                alpha = tl.exp2(m_i - m_new)
                probs = tl.exp2(scores - m_new[:, None])
                """,
            ),
        ),
    ),
    Entry(
        name="head_ignored",
        verdict="wrong_answer",
        what="Every head reads head 0 of key and value.",
        diagnosis="head's offset is missing",
        base="honest/small_tiles.py",
        edits=(
            Edit(
                """
                k_ptr += batch * stride_kb + head * stride_kh
                v_ptr += batch * stride_vb + head * stride_vh
                """,
                """
                k_ptr += batch * stride_kb
                v_ptr += batch * stride_vb
                """,
            ),
        ),
    ),
    Entry(
        name="key_as_value",
        verdict="wrong_answer",
        what="Multiplies with key.",
        diagnosis="key in place of value",
        base="honest/small_tiles.py",
        edits=(
            Edit(
                "acc = acc * alpha[:, None] + tl.dot(probs.to(v.dtype), v)",
                "acc = acc * alpha[:, None] + tl.dot(probs.to(k.dtype), k)",
            ),
        ),
    ),
    Entry(
        name="last_tile_lost",
        verdict="wrong_answer",
        what="The loop ends one tile early; tiles of 16 keys.",
        diagnosis="last tile of keys is ignored",
        base="honest/small_tiles.py",
        edits=(
            Edit(
                "for start in range(0, seqlen_kv, BLOCK_N):",
                "for start in range(0, (seqlen_kv - 1) // BLOCK_N * BLOCK_N, BLOCK_N):",
            ),
            Edit(
                "softmax_scale, HEAD_DIM=head_dim, BLOCK_M=16, BLOCK_N=32,",
                "softmax_scale, HEAD_DIM=head_dim, BLOCK_M=16, BLOCK_N=16,",
            ),
        ),
    ),
    Entry(
        name="last_tile_only",
        verdict="wrong_answer",
        what="Each step replaces the state.",
        diagnosis="Only the last tile of keys counts",
        base="honest/small_tiles.py",
        edits=(
            Edit("m_new = tl.maximum(m_i, tl.max(scores, axis=1))", "m_new = tl.max(scores, axis=1)"),
            Edit(
                """
                l_i = l_i * alpha + tl.sum(probs, axis=1)
                acc = acc * alpha[:, None] + tl.dot(probs.to(v.dtype), v)
                """,
                """
                l_i = tl.sum(probs, axis=1)
                acc = tl.dot(probs.to(v.dtype), v)
                """,
            ),
        ),
    ),
    Entry(
        name="not_normalised",
        verdict="wrong_answer",
        what="No division at the end.",
        diagnosis="acc is never divided by l",
        base="honest/small_tiles.py",
        edits=(Edit("result = acc / l_i[:, None]", "result = acc"),),
    ),
    Entry(
        name="nothing_rescaled",
        verdict="wrong_answer",
        what="Neither sum is rescaled.",
        diagnosis="Neither acc nor l is rescaled",
        base="honest/small_tiles.py",
        edits=(
            Edit(
                """
                l_i = l_i * alpha + tl.sum(probs, axis=1)
                acc = acc * alpha[:, None] + tl.dot(probs.to(v.dtype), v)
                """,
                """
                l_i = l_i + tl.sum(probs, axis=1)
                acc = acc + tl.dot(probs.to(v.dtype), v)
                """,
            ),
        ),
    ),
    Entry(
        name="padding_takes_part",
        verdict="wrong_answer",
        what="The scores of keys past the end stay 0.",
        diagnosis="Keys past the end take part",
        base="honest/small_tiles.py",
        edits=(Edit('scores = tl.where(mask_n[None, :], scores, -float("inf"))', ""),),
    ),
    Entry(
        name="scale_forgotten",
        verdict="wrong_answer",
        what="softmax_scale is not used.",
        diagnosis="attention without softmax_scale",
        base="honest/small_tiles.py",
        edits=(Edit("scores = tl.dot(q, tl.trans(k)) * softmax_scale", "scores = tl.dot(q, tl.trans(k))"),),
    ),
    Entry(
        name="scale_ignored",
        verdict="wrong_answer",
        what="1/sqrt(head_dim), whatever is asked for.",
        diagnosis="softmax_scale, which may differ, is ignored",
        base="honest/small_tiles.py",
        edits=(
            Edit(
                "softmax_scale, HEAD_DIM=head_dim, BLOCK_M=16, BLOCK_N=32,",
                "head_dim**-0.5, HEAD_DIM=head_dim, BLOCK_M=16, BLOCK_N=32,",
            ),
        ),
    ),
    Entry(
        name="scale_twice",
        verdict="wrong_answer",
        what="The scores are scaled twice.",
        diagnosis="applied twice",
        base="honest/small_tiles.py",
        edits=(
            Edit(
                "scores = tl.dot(q, tl.trans(k)) * softmax_scale",
                "scores = tl.dot(q, tl.trans(k)) * softmax_scale * softmax_scale",
            ),
        ),
    ),
    Entry(
        name="sum_not_rescaled",
        verdict="wrong_answer",
        what="l keeps the scale of an old maximum.",
        diagnosis="acc is rescaled when the maximum grows, l is not",
        base="honest/small_tiles.py",
        edits=(Edit("l_i = l_i * alpha + tl.sum(probs, axis=1)", "l_i = l_i + tl.sum(probs, axis=1)"),),
    ),
    Entry(
        name="sum_replaced",
        verdict="wrong_answer",
        what="l is replaced, acc is updated.",
        diagnosis="l holds the last tile's sum alone",
        base="honest/small_tiles.py",
        edits=(Edit("l_i = l_i * alpha + tl.sum(probs, axis=1)", "l_i = tl.sum(probs, axis=1)"),),
    ),
    Entry(
        name="tail_lost",
        verdict="wrong_answer",
        what="The loop visits whole tiles only.",
        diagnosis="mod BLOCK_N keys are ignored",
        base="honest/small_tiles.py",
        edits=(
            Edit(
                "for start in range(0, seqlen_kv, BLOCK_N):", "for start in range(0, seqlen_kv // BLOCK_N * BLOCK_N, BLOCK_N):"
            ),
        ),
    ),
    Entry(
        name="query_rounded",
        verdict="wrong_answer",
        what="The scaled query goes back to fp16 before tl.dot.",
        diagnosis="query · softmax_scale is rounded",
        base="honest/small_tiles.py",
        edits=(
            Edit(
                "scores = tl.dot(q, tl.trans(k)) * softmax_scale",
                "scores = tl.dot((q * softmax_scale).to(k.dtype), tl.trans(k))",
            ),
        ),
    ),
    Entry(
        name="weights_exchanged",
        verdict="wrong_answer",
        what="Each half is multiplied by the other one's weight.",
        diagnosis="joined with their weights exchanged",
        base="honest/split_over_keys.py",
        edits=(
            Edit(
                "merged = (part_0 * weight_0 + part_1 * weight_1) / (weight_0 + weight_1)",
                "merged = (part_0 * weight_1 + part_1 * weight_0) / (weight_0 + weight_1)",
            ),
        ),
    ),
)
