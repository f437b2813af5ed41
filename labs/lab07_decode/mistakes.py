"""The mistakes to recognise in decoding, each an edit of a right answer."""

from labs.mistake import Edit, Entry

MISTAKES = (
    Entry(
        name="group_not_a_power_of_two",
        verdict="compile_error",
        what="arange over the bare group size.",
        diagnosis="power of two",
        base="honest/no_split.py",
        edits=(
            Edit(
                "GROUP=group, GROUP_PADDED=max(16, triton.next_power_of_2(group)), HEAD_DIM=head_dim, BLOCK_N=64,",
                "GROUP=group, GROUP_PADDED=group, HEAD_DIM=head_dim, BLOCK_N=64,",
            ),
        ),
    ),
    Entry(
        name="acc_in_fp16",
        verdict="not_finite",
        what="Keeps the weighted sum of a tile of 128 keys in fp16.",
        diagnosis="the weighted sum overflows fp16",
        base="honest/no_split.py",
        edits=(
            Edit(
                "acc = acc * alpha[:, None] + tl.dot(probs.to(value.dtype), value)",
                "acc = acc * alpha[:, None] + tl.dot(probs.to(value.dtype), value, out_dtype=tl.float16)",
            ),
            Edit(
                "GROUP=group, GROUP_PADDED=max(16, triton.next_power_of_2(group)), HEAD_DIM=head_dim, BLOCK_N=64,",
                "GROUP=group, GROUP_PADDED=max(16, triton.next_power_of_2(group)), HEAD_DIM=head_dim, BLOCK_N=128,",
            ),
        ),
    ),
    Entry(
        name="cache_strides_assumed",
        verdict="not_finite",
        what="Takes the cache for contiguous.",
        diagnosis="key and value have gaps between their rows",
        base="honest/no_split.py",
        edits=(
            Edit(
                """
                key_ptr += batch * stride_kb + head * stride_kh
                value_ptr += batch * stride_vb + head * stride_vh
                """,
                """
                key_ptr += (batch * num_heads_kv + head) * seqlen_kv * HEAD_DIM
                value_ptr += (batch * num_heads_kv + head) * seqlen_kv * HEAD_DIM
                """,
            ),
            Edit(
                "key = tl.load(key_ptr + rows[:, None] * stride_kn + offs_d[None, :], mask=mask_n[:, None], other=0.0)",
                "key = tl.load(key_ptr + rows[:, None] * HEAD_DIM + offs_d[None, :], mask=mask_n[:, None], other=0.0)",
            ),
            Edit(
                "value = tl.load(value_ptr + rows[:, None] * stride_vn + offs_d[None, :], mask=mask_n[:, None], other=0.0)",
                "value = tl.load(value_ptr + rows[:, None] * HEAD_DIM + offs_d[None, :], mask=mask_n[:, None], other=0.0)",
            ),
        ),
    ),
    Entry(
        name="max_not_subtracted",
        verdict="not_finite",
        what="exp of the bare scores.",
        diagnosis="subtract the row's maximum first",
        base="honest/no_split.py",
        edits=(
            Edit(
                """
                m_new = tl.maximum(m_i, tl.max(scores, axis=1))
                alpha = tl.exp(m_i - m_new)
                """,
                """
                m_new = tl.zeros([GROUP_PADDED], tl.float32)
                alpha = tl.full([GROUP_PADDED], 1.0, tl.float32)
                """,
            ),
        ),
    ),
    Entry(
        name="nan_beyond_kv_len",
        verdict="not_finite",
        what="Masks the scores and not the load of the values.",
        diagnosis="a weight of 0 times NaN is NaN",
        base="honest/no_split.py",
        edits=(
            Edit(
                "value = tl.load(value_ptr + rows[:, None] * stride_vn + offs_d[None, :], mask=mask_n[:, None], other=0.0)",
                "value = tl.load(value_ptr + rows[:, None] * stride_vn + offs_d[None, :], mask=rows[:, None] < seqlen_kv, other=0.0)",
            ),
        ),
    ),
    Entry(
        name="no_keys",
        verdict="not_finite",
        what="0 / 0 for a sequence without keys.",
        diagnosis="with kv_len = 0",
        base="honest/no_split.py",
        edits=(Edit("l_i = tl.where(l_i == 0.0, 1.0, l_i)", ""),),
    ),
    Entry(
        name="query_strides_assumed",
        verdict="not_finite",
        what="Takes query for contiguous.",
        diagnosis="query has gaps between its rows",
        base="honest/no_split.py",
        edits=(
            Edit(
                "query_ptr + batch * stride_qb + heads_q[:, None] * stride_qh + offs_d[None, :], mask=mask_g[:, None], other=0.0",
                "query_ptr + (batch * num_heads_kv * GROUP + heads_q)[:, None] * HEAD_DIM + offs_d[None, :], mask=mask_g[:, None], other=0.0",
            ),
        ),
    ),
    Entry(
        name="shared_maximum",
        verdict="not_finite",
        what="One maximum for all heads of a group.",
        diagnosis="a maximum of its own",
        base="honest/no_split.py",
        edits=(
            Edit(
                "m_new = tl.maximum(m_i, tl.max(scores, axis=1))",
                "m_new = tl.maximum(m_i, tl.max(tl.max(scores, axis=1), axis=0))",
            ),
            Edit(
                """
                probs = tl.exp(scores - m_new[:, None])
                l_i = l_i * alpha + tl.sum(probs, axis=1)
                """,
                """
                probs = tl.exp(scores - m_new[:, None]).to(value_ptr.dtype.element_ty)
                l_i = l_i * alpha + tl.sum(probs.to(tl.float32), axis=1)
                """,
            ),
            Edit(
                "acc = acc * alpha[:, None] + tl.dot(probs.to(value.dtype), value)",
                "acc = acc * alpha[:, None] + tl.dot(probs, value)",
            ),
            Edit("l_i = tl.where(l_i == 0.0, 1.0, l_i)", "l_i = tl.where(kv_len == 0, 1.0, l_i)"),
        ),
    ),
    Entry(
        name="one_head_per_group",
        verdict="not_written",
        what="Stores the first head of each group only.",
        diagnosis="never written",
        base="honest/no_split.py",
        edits=(
            Edit(
                "tl.store(out_ptr + rows_out[:, None] * HEAD_DIM + offs_d[None, :], acc.to(out_ptr.dtype.element_ty), mask=mask_g[:, None])",
                "tl.store(out_ptr + rows_out[:, None] * HEAD_DIM + offs_d[None, :], acc.to(out_ptr.dtype.element_ty), mask=(offs_g < 1)[:, None])",
            ),
        ),
    ),
    Entry(
        name="one_sequence",
        verdict="not_written",
        what="The grid forgets the batch.",
        diagnosis="never written",
        base="honest/no_split.py",
        edits=(Edit("kernel[(batch * num_heads_kv,)](", "kernel[(num_heads_kv,)]("),),
    ),
    Entry(
        name="padded_heads_stored",
        verdict="out_of_bounds",
        what="Stores the rows that pad the group to 16.",
        diagnosis="past the end of out",
        base="honest/no_split.py",
        edits=(
            Edit(
                "tl.store(out_ptr + rows_out[:, None] * HEAD_DIM + offs_d[None, :], acc.to(out_ptr.dtype.element_ty), mask=mask_g[:, None])",
                "tl.store(out_ptr + rows_out[:, None] * HEAD_DIM + offs_d[None, :], acc.to(out_ptr.dtype.element_ty))",
            ),
        ),
    ),
    Entry(
        name="acc_not_rescaled",
        verdict="wrong_answer",
        what="acc keeps the exp of an old maximum.",
        diagnosis="acc is not rescaled",
        base="honest/no_split.py",
        edits=(
            Edit(
                "acc = acc * alpha[:, None] + tl.dot(probs.to(value.dtype), value)",
                "acc = acc + tl.dot(probs.to(value.dtype), value)",
            ),
        ),
    ),
    Entry(
        name="base_two",
        verdict="wrong_answer",
        what="exp2 without log2(e).",
        diagnosis="softmax in base 2",
        base="honest/no_split.py",
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
        name="divided_twice",
        verdict="wrong_answer",
        what="Divides at the end and once more when it stores.",
        diagnosis="divided twice by the sum of exp",
        base="honest/no_split.py",
        edits=(
            Edit(
                "tl.store(out_ptr + rows_out[:, None] * HEAD_DIM + offs_d[None, :], acc.to(out_ptr.dtype.element_ty), mask=mask_g[:, None])",
                "tl.store(out_ptr + rows_out[:, None] * HEAD_DIM + offs_d[None, :], (acc / l_i[:, None]).to(out_ptr.dtype.element_ty), mask=mask_g[:, None])",
            ),
        ),
    ),
    Entry(
        name="first_kv_len",
        verdict="wrong_answer",
        what="Every program reads the first sequence's length.",
        diagnosis="the first sequence's kv_len",
        base="honest/no_split.py",
        edits=(Edit("kv_len = tl.load(kv_len_ptr + batch)", "kv_len = tl.load(kv_len_ptr)"),),
    ),
    Entry(
        name="first_query_of_group",
        verdict="wrong_answer",
        what="Every head of a group uses the group's first query.",
        diagnosis="the group's first query",
        base="honest/no_split.py",
        edits=(
            Edit(
                "query_ptr + batch * stride_qb + heads_q[:, None] * stride_qh + offs_d[None, :], mask=mask_g[:, None], other=0.0",
                "query_ptr + batch * stride_qb + (head * GROUP + 0 * offs_g)[:, None] * stride_qh + offs_d[None, :], mask=mask_g[:, None], other=0.0",
            ),
        ),
    ),
    Entry(
        name="head_modulo",
        verdict="wrong_answer",
        what="Query head h reads cache head h % num_heads_kv.",
        diagnosis="it is h // group_size",
        base="honest/no_split.py",
        edits=(Edit("heads_q = head * GROUP + offs_g", "heads_q = offs_g * num_heads_kv + head"),),
    ),
    Entry(
        name="key_as_value",
        verdict="wrong_answer",
        what="Loads the values from the keys' address.",
        diagnosis="key in the place of value",
        base="honest/no_split.py",
        edits=(
            Edit(
                "value = tl.load(value_ptr + rows[:, None] * stride_vn + offs_d[None, :], mask=mask_n[:, None], other=0.0)",
                "value = tl.load(key_ptr + rows[:, None] * stride_kn + offs_d[None, :], mask=mask_n[:, None], other=0.0)",
            ),
        ),
    ),
    Entry(
        name="kv_len_ignored",
        verdict="wrong_answer",
        what="Runs over the whole cache, whatever kv_len says.",
        diagnosis="kv_len is ignored",
        base="honest/no_split.py",
        edits=(Edit("kv_len = tl.load(kv_len_ptr + batch)", "kv_len = seqlen_kv"),),
    ),
    Entry(
        name="last_key_dropped",
        verdict="wrong_answer",
        what="Ends one key early.",
        diagnosis="The last key takes no part",
        base="honest/no_split.py",
        edits=(Edit("mask_n = rows < kv_len", "mask_n = rows < kv_len - 1"),),
    ),
    Entry(
        name="no_division",
        verdict="wrong_answer",
        what="Stores acc undivided.",
        diagnosis="the division by the sum of exp is missing",
        base="honest/no_split.py",
        edits=(Edit("acc = acc / l_i[:, None]", ""),),
    ),
    Entry(
        name="no_scale",
        verdict="wrong_answer",
        what="Forgets softmax_scale.",
        diagnosis="attention without softmax_scale",
        base="honest/no_split.py",
        edits=(Edit("scores = tl.dot(query, tl.trans(key)) * softmax_scale", "scores = tl.dot(query, tl.trans(key))"),),
    ),
    Entry(
        name="nothing_rescaled",
        verdict="wrong_answer",
        what="No alpha at all.",
        diagnosis="never rescales its old sums",
        base="honest/no_split.py",
        edits=(
            Edit("l_i = l_i * alpha + tl.sum(probs, axis=1)", "l_i = l_i + tl.sum(probs, axis=1)"),
            Edit(
                "acc = acc * alpha[:, None] + tl.dot(probs.to(value.dtype), value)",
                "acc = acc + tl.dot(probs.to(value.dtype), value)",
            ),
        ),
    ),
    Entry(
        name="one_key_too_many",
        verdict="wrong_answer",
        what="Takes kv_len for the last valid index.",
        diagnosis="over kv_len + 1 keys",
        base="honest/no_split.py",
        edits=(
            Edit(
                "for start_n in range(0, kv_len, BLOCK_N):",
                "for start_n in range(0, tl.minimum(kv_len + 1, seqlen_kv), BLOCK_N):",
            ),
            Edit("mask_n = rows < kv_len", "mask_n = (rows <= kv_len) & (rows < seqlen_kv)"),
        ),
    ),
    Entry(
        name="padding_takes_part",
        verdict="wrong_answer",
        what="The last tile's padding keeps its score of 0.",
        diagnosis="padding of the last tile takes part",
        base="honest/no_split.py",
        edits=(Edit('scores = tl.where(mask_n[None, :], scores, -float("inf"))', ""),),
    ),
    Entry(
        name="scale_from_head_dim",
        verdict="wrong_answer",
        what="Computes 1/sqrt(head_dim) itself and does not use the argument.",
        diagnosis="softmax_scale is not used",
        base="honest/no_split.py",
        edits=(
            Edit(
                """
                value.stride(0), value.stride(1), value.stride(2),
                num_heads_kv, seqlen_kv, softmax_scale,
                """,
                """
                value.stride(0), value.stride(1), value.stride(2),
                num_heads_kv, seqlen_kv, head_dim**-0.5,
                """,
            ),
        ),
    ),
    Entry(
        name="sum_not_rescaled",
        verdict="wrong_answer",
        what="The sum keeps the exp of an old maximum.",
        diagnosis="sum l is not rescaled",
        base="honest/no_split.py",
        edits=(Edit("l_i = l_i * alpha + tl.sum(probs, axis=1)", "l_i = l_i + tl.sum(probs, axis=1)"),),
    ),
    Entry(
        name="tail_dropped",
        verdict="wrong_answer",
        what="Whole tiles only.",
        diagnosis="over whole tiles only",
        base="honest/no_split.py",
        edits=(
            Edit("for start_n in range(0, kv_len, BLOCK_N):", "for start_n in range(0, kv_len // BLOCK_N * BLOCK_N, BLOCK_N):"),
        ),
    ),
)
