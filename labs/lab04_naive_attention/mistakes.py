"""The mistakes to recognise in naive attention, each an edit of a right answer."""

from labs.mistake import Edit, Entry

MISTAKES = (
    Entry(
        name="max_not_subtracted",
        verdict="not_finite",
        what="exp of the raw scores.",
        diagnosis="subtract the row's maximum",
        base="honest/whole_rows.py",
        edits=(Edit("m = tl.max(s, axis=1)[:, None]", "m = 0.0"),),
    ),
    Entry(
        name="max_starts_at_zero",
        verdict="not_finite",
        what="The maximum is compared with 0.",
        diagnosis="maximum was taken to be at least 0",
        base="honest/whole_rows.py",
        edits=(Edit("m = tl.max(s, axis=1)[:, None]", "m = tl.maximum(tl.max(s, axis=1), 0.0)[:, None]"),),
    ),
    Entry(
        name="value_strides_assumed",
        verdict="not_finite",
        what="The value is taken to be contiguous.",
        diagnosis="stride",
        base="honest/whole_rows.py",
        edits=(
            Edit(
                "scores, value, out, heads, seqlen_q, seqlen_kv, *value.stride()[:3],",
                "scores, value, out, heads, seqlen_q, seqlen_kv, heads * seqlen_kv * head_dim, seqlen_kv * head_dim, head_dim,",
            ),
        ),
    ),
    Entry(
        name="one_tile_of_queries",
        verdict="not_written",
        what="The second grid has one tile of queries a head.",
        diagnosis="never written",
        base="honest/whole_rows.py",
        edits=(Edit("out_kernel[(triton.cdiv(seqlen_q, 16), batch * heads)](", "out_kernel[(1, batch * heads)]("),),
    ),
    Entry(
        name="store_without_mask",
        verdict="out_of_bounds",
        what="The last tile stores rows past the end.",
        diagnosis="past the end of out",
        base="honest/whole_rows.py",
        edits=(
            Edit(
                "tl.store(out_ptr + (bh * seqlen_q + offs_m) * HEAD_DIM + offs_d, result, mask=offs_m < seqlen_q)",
                "tl.store(out_ptr + (bh * seqlen_q + offs_m) * HEAD_DIM + offs_d, result)",
            ),
        ),
    ),
    Entry(
        name="causal",
        verdict="wrong_answer",
        what="Masks the future though nobody asked.",
        diagnosis="causal attention",
        base="honest/whole_rows.py",
        edits=(
            Edit(
                's = tl.dot(q, tl.trans(k), input_precision="ieee") * softmax_scale',
                """
                s = tl.dot(q, tl.trans(k), input_precision="ieee") * softmax_scale
                s = tl.where(offs_n[None, :] <= offs_m, s, -float("inf"))
                """,
            ),
        ),
    ),
    Entry(
        name="exp2_without_log2e",
        verdict="wrong_answer",
        what="exp2 in place of exp.",
        diagnosis="softmax is in base 2",
        base="honest/whole_rows.py",
        edits=(
            Edit("total = tl.sum(tl.exp(s - m), axis=1)[:, None]", "total = tl.sum(tl.exp2(s - m), axis=1)[:, None]"),
            Edit(
                'result += tl.dot((tl.exp(part - m) / total).to(v.dtype), v, input_precision="ieee")',
                'result += tl.dot((tl.exp2(part - m) / total).to(v.dtype), v, input_precision="ieee")',
            ),
        ),
    ),
    Entry(
        name="head_ignored",
        verdict="wrong_answer",
        what="Every head reads head 0 of key and value.",
        diagnosis="head's offset is missing",
        base="honest/whole_rows.py",
        edits=(
            Edit("k_ptr += bh // heads * stride_kb + bh % heads * stride_kh", "k_ptr += bh // heads * stride_kb"),
            Edit("v_ptr += bh // heads * stride_vb + bh % heads * stride_vh", "v_ptr += bh // heads * stride_vb"),
        ),
    ),
    Entry(
        name="key_as_value",
        verdict="wrong_answer",
        what="The launcher passes key twice.",
        diagnosis="key in place of value",
        base="honest/whole_rows.py",
        edits=(
            Edit(
                "scores, value, out, heads, seqlen_q, seqlen_kv, *value.stride()[:3],",
                "scores, key, out, heads, seqlen_q, seqlen_kv, *key.stride()[:3],",
            ),
        ),
    ),
    Entry(
        name="key_transposed",
        verdict="wrong_answer",
        what="key is read as [head_dim, seqlen_kv].",
        diagnosis="key is read transposed",
        base="honest/whole_rows.py",
        edits=(
            Edit(
                "k = tl.load(k_ptr + offs_n[:, None] * stride_kn + offs_d, mask=offs_n[:, None] < seqlen_kv, other=0.0)",
                "k = tl.load(k_ptr + offs_n[:, None] + offs_d * seqlen_kv, mask=offs_n[:, None] < seqlen_kv, other=0.0)",
            ),
        ),
    ),
    Entry(
        name="last_key_lost",
        verdict="wrong_answer",
        what="The second kernel ends one key early.",
        diagnosis="last key takes no part",
        base="honest/whole_rows.py",
        edits=(
            Edit(
                """
                mask = (offs_m < seqlen_q) & (offs_n[None, :] < seqlen_kv)
                s = tl.load(s_ptr + (bh * seqlen_q + offs_m) * seqlen_kv + offs_n[None, :], mask=mask, other=-float("inf"))
                """,
                """
                mask = (offs_m < seqlen_q) & (offs_n[None, :] < seqlen_kv - 1)
                s = tl.load(s_ptr + (bh * seqlen_q + offs_m) * seqlen_kv + offs_n[None, :], mask=mask, other=-float("inf"))
                """,
            ),
            Edit(
                "inside = (offs_m < seqlen_q) & (offs_c[None, :] < seqlen_kv)",
                "inside = (offs_m < seqlen_q) & (offs_c[None, :] < seqlen_kv - 1)",
            ),
        ),
    ),
    Entry(
        name="not_normalised",
        verdict="wrong_answer",
        what="No division.",
        diagnosis="never divided by their sum",
        base="honest/whole_rows.py",
        edits=(
            Edit(
                'result += tl.dot((tl.exp(part - m) / total).to(v.dtype), v, input_precision="ieee")',
                'result += tl.dot(tl.exp(part - m).to(v.dtype), v, input_precision="ieee")',
            ),
        ),
    ),
    Entry(
        name="padding_takes_part",
        verdict="wrong_answer",
        what="The row of scores is padded with 0.",
        diagnosis="Lanes beyond the last key count as scores of 0",
        base="honest/whole_rows.py",
        edits=(
            Edit(
                's = tl.load(s_ptr + (bh * seqlen_q + offs_m) * seqlen_kv + offs_n[None, :], mask=mask, other=-float("inf"))',
                "s = tl.load(s_ptr + (bh * seqlen_q + offs_m) * seqlen_kv + offs_n[None, :], mask=mask, other=0.0)",
            ),
        ),
    ),
    Entry(
        name="scale_forgotten",
        verdict="wrong_answer",
        what="softmax_scale is not used.",
        diagnosis="attention without softmax_scale",
        base="honest/whole_rows.py",
        edits=(
            Edit(
                's = tl.dot(q, tl.trans(k), input_precision="ieee") * softmax_scale',
                's = tl.dot(q, tl.trans(k), input_precision="ieee")',
            ),
        ),
    ),
    Entry(
        name="scale_ignored",
        verdict="wrong_answer",
        what="1/sqrt(head_dim), whatever is asked for.",
        diagnosis="softmax_scale, which may differ, is ignored",
        base="honest/whole_rows.py",
        edits=(Edit("softmax_scale, HEAD_DIM=head_dim, BLOCK=64,", "head_dim**-0.5, HEAD_DIM=head_dim, BLOCK=64,"),),
    ),
    Entry(
        name="scale_twice",
        verdict="wrong_answer",
        what="The scores are scaled twice.",
        diagnosis="applied twice",
        base="honest/whole_rows.py",
        edits=(
            Edit(
                's = tl.dot(q, tl.trans(k), input_precision="ieee") * softmax_scale',
                's = tl.dot(q, tl.trans(k), input_precision="ieee") * softmax_scale * softmax_scale',
            ),
        ),
    ),
    Entry(
        name="scores_in_fp16",
        verdict="wrong_answer",
        what="The buffer of scores is fp16.",
        diagnosis="scores were stored in fp16",
        base="honest/whole_rows.py",
        edits=(
            Edit(
                's = tl.load(s_ptr + (bh * seqlen_q + offs_m) * seqlen_kv + offs_n[None, :], mask=mask, other=-float("inf"))',
                's = tl.load(s_ptr + (bh * seqlen_q + offs_m) * seqlen_kv + offs_n[None, :], mask=mask, other=-float("inf")).to(tl.float32)',
            ),
            Edit(
                'part = tl.load(s_ptr + (bh * seqlen_q + offs_m) * seqlen_kv + offs_c[None, :], mask=inside, other=-float("inf"))',
                'part = tl.load(s_ptr + (bh * seqlen_q + offs_m) * seqlen_kv + offs_c[None, :], mask=inside, other=-float("inf")).to(tl.float32)',
            ),
            Edit(
                "scores = torch.empty((batch * heads, seqlen_q, seqlen_kv), dtype=torch.float32, device=query.device)",
                "scores = torch.empty((batch * heads, seqlen_q, seqlen_kv), dtype=torch.float16, device=query.device)",
            ),
        ),
    ),
    Entry(
        name="softmax_missing",
        verdict="wrong_answer",
        what="The raw scores weigh the values.",
        diagnosis="softmax is missing",
        base="honest/whole_rows.py",
        edits=(
            Edit(
                'part = tl.load(s_ptr + (bh * seqlen_q + offs_m) * seqlen_kv + offs_c[None, :], mask=inside, other=-float("inf"))',
                "part = tl.load(s_ptr + (bh * seqlen_q + offs_m) * seqlen_kv + offs_c[None, :], mask=inside, other=0.0)",
            ),
            Edit(
                'result += tl.dot((tl.exp(part - m) / total).to(v.dtype), v, input_precision="ieee")',
                'result += tl.dot(part, v.to(tl.float32), input_precision="ieee")',
            ),
        ),
    ),
    Entry(
        name="softmax_over_the_queries",
        verdict="wrong_answer",
        what="The softmax runs along the wrong axis.",
        diagnosis="softmax runs over the queries",
        base="honest/whole_rows.py",
        edits=(
            Edit(
                """
                s = tl.where(offs_m < seqlen_q, s, 0.0)
                m = tl.max(s, axis=1)[:, None]
                total = tl.sum(tl.exp(s - m), axis=1)[:, None]
                result = tl.zeros([BLOCK_M, HEAD_DIM], tl.float32)
                """,
                "result = tl.zeros([BLOCK_M, HEAD_DIM], tl.float32)",
            ),
            Edit(
                'part = tl.load(s_ptr + (bh * seqlen_q + offs_m) * seqlen_kv + offs_c[None, :], mask=inside, other=-float("inf"))',
                """
                part = tl.load(s_ptr + (bh * seqlen_q + offs_m) * seqlen_kv + offs_c[None, :], mask=inside, other=-float("inf"))
                part = tl.where(offs_c[None, :] < seqlen_kv, part, 0.0)
                m = tl.max(part, axis=0)[None, :]
                total = tl.sum(tl.exp(part - m), axis=0)[None, :]
                """,
            ),
            Edit("out_kernel[(triton.cdiv(seqlen_q, 16), batch * heads)](", "out_kernel[(1, batch * heads)]("),
            Edit(
                "HEAD_DIM=head_dim, BLOCK_M=16, BLOCK_N=triton.next_power_of_2(seqlen_kv), CHUNK=64,",
                "HEAD_DIM=head_dim, BLOCK_M=max(triton.next_power_of_2(seqlen_q), 16), BLOCK_N=triton.next_power_of_2(seqlen_kv), CHUNK=64,",
            ),
        ),
    ),
    Entry(
        name="value_transposed",
        verdict="wrong_answer",
        what="value is read as [head_dim, seqlen_kv].",
        diagnosis="value is read transposed",
        base="honest/whole_rows.py",
        edits=(
            Edit(
                "v = tl.load(v_ptr + offs_c[:, None] * stride_vn + offs_d, mask=offs_c[:, None] < seqlen_kv, other=0.0)",
                "v = tl.load(v_ptr + offs_c[:, None] + offs_d * seqlen_kv, mask=offs_c[:, None] < seqlen_kv, other=0.0)",
            ),
        ),
    ),
    Entry(
        name="weights_in_fp16",
        verdict="wrong_answer",
        what="fp32 values are weighed by fp16 weights.",
        diagnosis="off in the fourth digit in fp32",
        base="honest/whole_rows.py",
        edits=(
            Edit(
                'result += tl.dot((tl.exp(part - m) / total).to(v.dtype), v, input_precision="ieee")',
                'result += tl.dot((tl.exp(part - m) / total).to(tl.float16).to(v.dtype), v, input_precision="ieee")',
            ),
        ),
    ),
)
