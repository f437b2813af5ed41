"""The mistakes to recognise in split-KV decoding, each an edit of a right answer."""

from labs.mistake import Edit, Entry

MISTAKES = (
    Entry(
        name="empty_split",
        verdict="not_finite",
        what="A split without keys divides 0 by 0.",
        diagnosis="A split without keys gives NaN",
        base="honest/fixed_number_of_splits.py",
        edits=(Edit("safe = tl.where(l_i == 0.0, 1.0, l_i)", "safe = l_i"),),
    ),
    Entry(
        name="max_not_subtracted",
        verdict="not_finite",
        what="exp of the bare scores.",
        diagnosis="subtract the row's maximum first",
        base="honest/fixed_number_of_splits.py",
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
        base="honest/fixed_number_of_splits.py",
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
        what="All splits are empty: the merge takes −inf from −inf.",
        diagnosis="with kv_len = 0",
        base="honest/fixed_number_of_splits.py",
        edits=(Edit('largest = tl.where(largest == -float("inf"), 0.0, largest)', ""),),
    ),
    Entry(
        name="strides_assumed",
        verdict="not_finite",
        what="Takes the cache for contiguous.",
        diagnosis="key and value have gaps between their rows",
        base="honest/fixed_number_of_splits.py",
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
        name="one_sequence",
        verdict="not_written",
        what="The merge's grid forgets the batch.",
        diagnosis="never written",
        base="honest/fixed_number_of_splits.py",
        edits=(
            Edit(
                "merge_kernel[(rows,)](partial_out, partial_lse, out, NUM_KV_SPLITS, HEAD_DIM=head_dim, SPLITS=NUM_KV_SPLITS)",
                "merge_kernel[(num_heads_q,)](partial_out, partial_lse, out, NUM_KV_SPLITS, HEAD_DIM=head_dim, SPLITS=NUM_KV_SPLITS)",
            ),
        ),
    ),
    Entry(
        name="host_reads_kv_len",
        verdict="refused",
        what="Reads the longest kv_len on the host to choose its grid.",
        diagnosis="reads a tensor's values on the host",
        base="honest/fixed_number_of_splits.py",
        edits=(
            Edit(
                "rows = batch * num_heads_q",
                """
                rows = batch * num_heads_q
                longest = int(kv_len.max())
                """,
            ),
        ),
    ),
    Entry(
        name="head_modulo",
        verdict="wrong_answer",
        what="Query head h reads cache head h % num_heads_kv.",
        diagnosis="it is h // group_size",
        base="honest/fixed_number_of_splits.py",
        edits=(Edit("heads_q = head * GROUP + offs_g", "heads_q = offs_g * num_heads_kv + head"),),
    ),
    Entry(
        name="kv_len_ignored",
        verdict="wrong_answer",
        what="The splits share out the whole cache.",
        diagnosis="kv_len is ignored",
        base="honest/fixed_number_of_splits.py",
        edits=(Edit("kv_len = tl.load(kv_len_ptr + batch)", "kv_len = seqlen_kv"),),
    ),
    Entry(
        name="log2_of_the_sum",
        verdict="wrong_answer",
        what="The lse is m + log2(l), with m in natural units.",
        diagnosis="use different bases",
        base="honest/fixed_number_of_splits.py",
        edits=(Edit("lse = m_i + tl.log(safe)", "lse = m_i + tl.log2(safe)"),),
    ),
    Entry(
        name="lse_in_base_two",
        verdict="wrong_answer",
        what="The splits store an lse in base 2, the merge uses exp.",
        diagnosis="use different bases",
        base="honest/fixed_number_of_splits.py",
        edits=(
            Edit(
                "scores = tl.dot(query, tl.trans(key)) * softmax_scale",
                "scores = tl.dot(query, tl.trans(key)) * (softmax_scale * 1.4426950408889634)",
            ),
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
            Edit("lse = m_i + tl.log(safe)", "lse = m_i + tl.log2(safe)"),
        ),
    ),
    Entry(
        name="mean_of_partials",
        verdict="wrong_answer",
        what="The merge takes the mean of the splits.",
        diagnosis="plain mean of the splits",
        base="honest/fixed_number_of_splits.py",
        edits=(
            Edit("out = tl.sum(weight[:, None] * partial, axis=0) / total", "out = tl.sum(partial, axis=0) / num_kv_splits"),
        ),
    ),
    Entry(
        name="merge_in_base_two",
        verdict="wrong_answer",
        what="The merge uses exp2 on a natural lse.",
        diagnosis="use different bases",
        base="honest/fixed_number_of_splits.py",
        edits=(Edit("weight = tl.exp(lse - largest)", "weight = tl.exp2(lse - largest)"),),
    ),
    Entry(
        name="merge_not_divided",
        verdict="wrong_answer",
        what="The merge forgets to divide by the sum of the weights.",
        diagnosis="does not divide by the sum",
        base="honest/fixed_number_of_splits.py",
        edits=(
            Edit("out = tl.sum(weight[:, None] * partial, axis=0) / total", "out = tl.sum(weight[:, None] * partial, axis=0)"),
        ),
    ),
    Entry(
        name="nothing_rescaled",
        verdict="wrong_answer",
        what="Inside a split the old sums keep an old maximum.",
        diagnosis="the old sums must be multiplied",
        base="honest/fixed_number_of_splits.py",
        edits=(
            Edit("l_i = l_i * alpha + tl.sum(probs, axis=1)", "l_i = l_i + tl.sum(probs, axis=1)"),
            Edit(
                "acc = acc * alpha[:, None] + tl.dot(probs.to(value.dtype), value)",
                "acc = acc + tl.dot(probs.to(value.dtype), value)",
            ),
        ),
    ),
    Entry(
        name="only_first_split",
        verdict="wrong_answer",
        what="The merge reads the first split only.",
        diagnosis="over the first split alone",
        base="honest/fixed_number_of_splits.py",
        edits=(Edit("mask_s = offs_s < num_kv_splits", "mask_s = offs_s < 1"),),
    ),
    Entry(
        name="padding_takes_part",
        verdict="wrong_answer",
        what="The ragged end of a split keeps its score of 0.",
        diagnosis="The padding of a split's last tile",
        base="honest/fixed_number_of_splits.py",
        edits=(Edit('scores = tl.where(mask_n[None, :], scores, -float("inf"))', ""),),
    ),
    Entry(
        name="remainder_dropped",
        verdict="wrong_answer",
        what="The length of a split is rounded down.",
        diagnosis="belong to no split",
        base="honest/fixed_number_of_splits.py",
        edits=(Edit("per_split = tl.cdiv(kv_len, num_kv_splits)", "per_split = kv_len // num_kv_splits"),),
    ),
    Entry(
        name="sum_of_partials",
        verdict="wrong_answer",
        what="The merge adds the splits up.",
        diagnosis="plain sum of the splits",
        base="honest/fixed_number_of_splits.py",
        edits=(Edit("out = tl.sum(weight[:, None] * partial, axis=0) / total", "out = tl.sum(partial, axis=0)"),),
    ),
    Entry(
        name="weighed_by_maximum",
        verdict="wrong_answer",
        what="The splits hand over m in the place of the lse.",
        diagnosis="its largest score alone",
        base="honest/fixed_number_of_splits.py",
        edits=(Edit("lse = m_i + tl.log(safe)", "lse = m_i"),),
    ),
    Entry(
        name="weighed_by_sum",
        verdict="wrong_answer",
        what="The splits hand over log(l) in the place of the lse.",
        diagnosis="its sum l alone",
        base="honest/fixed_number_of_splits.py",
        edits=(Edit("lse = m_i + tl.log(safe)", 'lse = tl.where(l_i == 0.0, -float("inf"), tl.log(safe))'),),
    ),
)
