"""The mistakes to recognise in attention's gradients, each an edit of a right answer."""

from labs.mistake import Edit, Entry

NATURAL = "honest/four_launches.py"
ATOMICS = "honest/atomics.py"

MISTAKES = (
    Entry(
        name="lse_in_base_2",
        verdict="wrong_answer",
        what="Keeps lse in base 2, and reads it so.",
        diagnosis="lse is in base 2",
        base="solution.py",
        edits=(
            Edit(
                "tl.store(lse_ptr + row, (m_i + tl.log2(l_safe)) / LOG2_E, mask=mask_m)",
                "tl.store(lse_ptr + row, m_i + tl.log2(l_safe), mask=mask_m)",
            ),
            Edit(
                """
                lse_log2 = tl.load(lse_ptr + row, mask=mask_m, other=0.0) * LOG2_E
                last_seen = tl.minimum(offs_m + seqlen_kv - seqlen_q, seqlen_kv - 1)
                """,
                """
                lse_log2 = tl.load(lse_ptr + row, mask=mask_m, other=0.0)
                last_seen = tl.minimum(offs_m + seqlen_kv - seqlen_q, seqlen_kv - 1)
                """,
            ),
            Edit(
                """
                lse_log2 = tl.load(lse_ptr + row, mask=mask_m, other=0.0) * LOG2_E
                delta = tl.load(delta_ptr + row, mask=mask_m, other=0.0)
                """,
                """
                lse_log2 = tl.load(lse_ptr + row, mask=mask_m, other=0.0)
                delta = tl.load(delta_ptr + row, mask=mask_m, other=0.0)
                """,
            ),
        ),
    ),
    Entry(
        name="lse_without_maximum",
        verdict="wrong_answer",
        what="Stores log(l) alone.",
        diagnosis="the maximum that was subtracted is missing",
        base=NATURAL,
        edits=(Edit("lse = m_i + tl.log(l_safe)", "lse = tl.log(l_safe)"),),
    ),
    Entry(
        name="lse_is_maximum",
        verdict="wrong_answer",
        what="Stores the maximum alone.",
        diagnosis="log(l) is missing",
        base=NATURAL,
        edits=(Edit("lse = m_i + tl.log(l_safe)", "lse = m_i"),),
    ),
    Entry(
        name="lse_in_the_wrong_base",
        verdict="wrong_answer",
        what="Subtracts a natural logarithm in the power of 2.",
        diagnosis="lse is a natural logarithm",
        base="solution.py",
        edits=(
            Edit(
                """
                lse_log2 = tl.load(lse_ptr + row, mask=mask_m, other=0.0) * LOG2_E
                last_seen = tl.minimum(offs_m + seqlen_kv - seqlen_q, seqlen_kv - 1)
                """,
                """
                lse_log2 = tl.load(lse_ptr + row, mask=mask_m, other=0.0)
                last_seen = tl.minimum(offs_m + seqlen_kv - seqlen_q, seqlen_kv - 1)
                """,
            ),
            Edit(
                """
                lse_log2 = tl.load(lse_ptr + row, mask=mask_m, other=0.0) * LOG2_E
                delta = tl.load(delta_ptr + row, mask=mask_m, other=0.0)
                """,
                """
                lse_log2 = tl.load(lse_ptr + row, mask=mask_m, other=0.0)
                delta = tl.load(delta_ptr + row, mask=mask_m, other=0.0)
                """,
            ),
        ),
    ),
    Entry(
        name="scores_not_scaled_again",
        verdict="not_finite",
        what="Computes P again from scores without the scale.",
        diagnosis="are not multiplied by softmax_scale",
        base="solution.py",
        edits=(Edit("scores = tl.dot(q, tl.trans(k)) * scale_log2", "scores = tl.dot(q, tl.trans(k)) * LOG2_E"),),
    ),
    Entry(
        name="delta_missing",
        verdict="wrong_answer",
        what="Takes P · dP for the gradient of the scores.",
        diagnosis="delta is missing",
        base=NATURAL,
        edits=(Edit("delta = tl.sum(do * out, axis=1)", "delta = tl.zeros([BLOCK_M], tl.float32)"),),
    ),
    Entry(
        name="delta_of_dout",
        verdict="wrong_answer",
        what="Sums dout, without out.",
        diagnosis="delta is the sum of dO alone",
        base=NATURAL,
        edits=(Edit("delta = tl.sum(do * out, axis=1)", "delta = tl.sum(do, axis=1)"),),
    ),
    Entry(
        name="delta_not_weighed",
        verdict="wrong_answer",
        what="Subtracts delta after the product with P, in both launches.",
        diagnosis="delta is subtracted after the product",
        base=NATURAL,
        edits=(
            Edit(
                """
                dscores = probs * (dprobs - delta[:, None])
                dq += tl.dot(dscores.to(k.dtype), k)
                """,
                """
                dscores = tl.where(visible, probs * dprobs - delta[:, None], 0.0)
                dq += tl.dot(dscores.to(k.dtype), k)
                """,
            ),
            Edit(
                """
                dscores = probs * (dprobs - delta[:, None])
                dk += tl.dot(tl.trans(dscores).to(q.dtype), q)
                """,
                """
                dscores = tl.where(visible, probs * dprobs - delta[:, None], 0.0)
                dk += tl.dot(tl.trans(dscores).to(q.dtype), q)
                """,
            ),
        ),
    ),
    Entry(
        name="dquery_not_scaled",
        verdict="wrong_answer",
        what="Forgets the scale in dquery.",
        diagnosis="dquery lacks softmax_scale",
        base=NATURAL,
        edits=(Edit("dq = dq * softmax_scale", ""),),
    ),
    Entry(
        name="dkey_not_scaled",
        verdict="wrong_answer",
        what="Forgets the scale in dkey.",
        diagnosis="dkey lacks softmax_scale",
        base=NATURAL,
        edits=(Edit("dk = dk * softmax_scale", ""),),
    ),
    Entry(
        name="neither_scaled",
        verdict="wrong_answer",
        what="Forgets the scale in both.",
        diagnosis="dquery and dkey lack softmax_scale",
        base=ATOMICS,
        edits=(
            Edit(
                "dscores = probs * (tl.dot(do, tl.trans(v)) - delta[:, None]) * softmax_scale",
                "dscores = probs * (tl.dot(do, tl.trans(v)) - delta[:, None])",
            ),
        ),
    ),
    Entry(
        name="dquery_scaled_twice",
        verdict="wrong_answer",
        what="Scales key's part and the sum.",
        diagnosis="dquery has softmax_scale twice",
        base=ATOMICS,
        edits=(Edit("part = tl.dot(dscores.to(k.dtype), k)", "part = tl.dot(dscores.to(k.dtype), k) * softmax_scale"),),
    ),
    Entry(
        name="dvalue_scaled",
        verdict="wrong_answer",
        what="Scales dvalue as if it went through the scores.",
        diagnosis="dvalue has the factor softmax_scale",
        base=NATURAL,
        edits=(
            Edit(
                "tl.store(dv_ptr + at, dv.to(dv_ptr.dtype.element_ty), mask=mask_n)",
                "tl.store(dv_ptr + at, (dv * softmax_scale).to(dv_ptr.dtype.element_ty), mask=mask_n)",
            ),
        ),
    ),
    Entry(
        name="scaled_in_base_2",
        verdict="wrong_answer",
        what="Takes the factor of the scores in base 2 for that of the gradients.",
        diagnosis="log2(e) belongs to the power of 2 alone",
        base="honest/transposed_tiles.py",
        edits=(
            Edit("dq = tl.trans(dq * softmax_scale)", "dq = tl.trans(dq * scale_log2)"),
            Edit(
                "tl.store(dk_ptr + at, (dk * softmax_scale).to(dk_ptr.dtype.element_ty), mask=mask_n)",
                "tl.store(dk_ptr + at, (dk * scale_log2).to(dk_ptr.dtype.element_ty), mask=mask_n)",
            ),
        ),
    ),
    Entry(
        name="dvalue_from_dscores",
        verdict="wrong_answer",
        what="Sums dS^T dO in the place of P^T dO.",
        diagnosis="dvalue is dS^T dO",
        base="honest/transposed_tiles.py",
        edits=(
            Edit("dv += tl.dot(probs.to(do.dtype), do)", ""),
            Edit(
                "dk += tl.dot(dscores.to(q.dtype), q)",
                """
                dk += tl.dot(dscores.to(q.dtype), q)
                dv += tl.dot(dscores.to(do.dtype), do)
                """,
            ),
        ),
    ),
    Entry(
        name="dkey_from_probs",
        verdict="wrong_answer",
        what="Sums P^T Q in the place of dS^T Q.",
        diagnosis="dkey is P^T Q",
        base=NATURAL,
        edits=(Edit("dk += tl.dot(tl.trans(dscores).to(q.dtype), q)", "dk += tl.dot(tl.trans(probs).to(q.dtype), q)"),),
    ),
    Entry(
        name="dprobs_from_key",
        verdict="wrong_answer",
        what="Takes key for value in dP, in both launches.",
        diagnosis="dP is dO K^T",
        base="solution.py",
        edits=(Edit("return probs, tl.dot(do, tl.trans(v))", "return probs, tl.dot(do, tl.trans(k))"),),
    ),
    Entry(
        name="dkey_dvalue_exchanged",
        verdict="wrong_answer",
        what="Hands dvalue and dkey over in the wrong order.",
        diagnosis="dkey holds the gradient of value",
        base=NATURAL,
        edits=(
            Edit(
                "query, key, value, dout, lse, delta, dkey, dvalue, heads_kv, group_size, seqlen_q, seqlen_kv,",
                "query, key, value, dout, lse, delta, dvalue, dkey, heads_kv, group_size, seqlen_q, seqlen_kv,",
            ),
        ),
    ),
    Entry(
        name="probs_not_transposed",
        verdict="wrong_answer",
        what="Multiplies P with dO as it lies, which fits since the tiles are square.",
        diagnosis="P is not transposed",
        base=NATURAL,
        edits=(Edit("dv += tl.dot(tl.trans(probs).to(do.dtype), do)", "dv += tl.dot(probs.to(do.dtype), do)"),),
    ),
    Entry(
        name="dscores_not_transposed",
        verdict="wrong_answer",
        what="Multiplies dS with Q as it lies.",
        diagnosis="dS is not transposed",
        base=NATURAL,
        edits=(Edit("dk += tl.dot(tl.trans(dscores).to(q.dtype), q)", "dk += tl.dot(dscores.to(q.dtype), q)"),),
    ),
    Entry(
        name="keys_not_masked",
        verdict="wrong_answer",
        what="Has no causal mask where keys are walked over, and every query is visited.",
        diagnosis="without the causal mask",
        base=NATURAL,
        edits=(
            Edit("first = tl.maximum(tile_n * BLOCK_N + seqlen_q - seqlen_kv, 0) // BLOCK_M * BLOCK_M", "first = 0"),
            Edit("visible = (offs_n[None, :] <= last_seen[:, None]) & mask_m[:, None]", "visible = mask_m[:, None]"),
        ),
    ),
    Entry(
        name="backward_top_left",
        verdict="wrong_answer",
        what="Aligns the mask of the backward pass to the first key, and visits every tile.",
        diagnosis="to the top-left corner",
        base="honest/transposed_tiles.py",
        edits=(
            Edit(
                """
                shift = seqlen_kv - seqlen_q
                end = tl.minimum(seqlen_kv, (tl.program_id(0) + 1) * BLOCK_M + shift)
                """,
                """
                shift = 0
                end = seqlen_kv
                """,
            ),
            Edit(
                """
                shift = seqlen_kv - seqlen_q
                first = tl.maximum(tl.program_id(0) * BLOCK_N - shift, 0) // BLOCK_M
                """,
                """
                shift = 0
                first = 0
                """,
            ),
        ),
    ),
    Entry(
        name="diagonal_excluded",
        verdict="wrong_answer",
        what="Hides a query's own position in the backward pass.",
        diagnosis="hides the diagonal",
        base=ATOMICS,
        edits=(
            Edit(
                "visible = (offs_n[None, :] <= offs_m[:, None] + seqlen_kv - seqlen_q) & (offs_n[None, :] < seqlen_kv)",
                "visible = (offs_n[None, :] < offs_m[:, None] + seqlen_kv - seqlen_q) & (offs_n[None, :] < seqlen_kv)",
            ),
        ),
    ),
    Entry(
        name="diagonal_tile_skipped",
        verdict="wrong_answer",
        what="Rounds the first query up to a whole tile.",
        diagnosis="miss the queries on the diagonal",
        base=NATURAL,
        edits=(
            Edit(
                "first = tl.maximum(tile_n * BLOCK_N + seqlen_q - seqlen_kv, 0) // BLOCK_M * BLOCK_M",
                "first = tl.cdiv(tl.maximum(tile_n * BLOCK_N + seqlen_q - seqlen_kv, 0), BLOCK_M) * BLOCK_M",
            ),
        ),
    ),
    Entry(
        name="last_queries_dropped",
        verdict="wrong_answer",
        what="Walks over whole tiles of queries only.",
        diagnosis="miss the last queries",
        base=NATURAL,
        edits=(
            Edit(
                "for start in range(first, seqlen_q, BLOCK_M):",
                "for start in range(first, seqlen_q // BLOCK_M * BLOCK_M, BLOCK_M):",
            ),
        ),
    ),
    Entry(
        name="last_tile_only",
        verdict="wrong_answer",
        what="Replaces dquery at each tile of keys.",
        diagnosis="dquery is what the last tile of keys gives",
        base=NATURAL,
        edits=(Edit("dq += tl.dot(dscores.to(k.dtype), k)", "dq = tl.dot(dscores.to(k.dtype), k)"),),
    ),
    Entry(
        name="first_head_of_the_group",
        verdict="wrong_answer",
        what="Walks over one query head of the group.",
        diagnosis="from the first query head of each group",
        base=NATURAL,
        edits=(Edit("for member in range(0, group_size):", "for member in range(0, 1):"),),
    ),
    Entry(
        name="backward_head_modulo",
        verdict="wrong_answer",
        what="Pairs heads with step in the backward pass.",
        diagnosis="h mod num_heads_kv",
        base=ATOMICS,
        edits=(Edit("head = head_kv * group_size + member", "head = head_kv + member * heads_kv"),),
    ),
    Entry(
        name="no_visible_key",
        verdict="not_finite",
        what="Masks the scores, and subtracts an lse of -inf from -inf.",
        diagnosis="A row that sees no key gives NaN",
        base=NATURAL,
        edits=(
            Edit(
                """
                visible = (offs_n[None, :] <= last_seen[:, None]) & mask_m[:, None]
                probs = tl.where(visible, tl.exp(scores - lse[:, None]), 0.0)
                """,
                """
                visible = (offs_n[None, :] <= last_seen[:, None]) & mask_m[:, None]
                probs = tl.exp(tl.where(visible, scores, -float("inf")) - lse[:, None])
                """,
            ),
        ),
    ),
    Entry(
        name="dprobs_in_fp16",
        verdict="not_finite",
        what="Rounds dP before delta is subtracted.",
        diagnosis="dP is kept in fp16",
        base=NATURAL,
        edits=(
            Edit(
                """
                dprobs = tl.dot(do, tl.trans(v))
                dscores = probs * (dprobs - delta[:, None])
                dk += tl.dot(tl.trans(dscores).to(q.dtype), q)
                """,
                """
                dprobs = tl.dot(do, tl.trans(v)).to(do.dtype)
                dscores = probs * (dprobs - delta[:, None])
                dk += tl.dot(tl.trans(dscores).to(q.dtype), q)
                """,
            ),
        ),
    ),
    Entry(
        name="sum_in_fp16",
        verdict="not_finite",
        what="Sums dvalue in the type of dout.",
        diagnosis="is summed in fp16",
        base=NATURAL,
        edits=(
            Edit(
                "dv = tl.zeros([BLOCK_N, HEAD_DIM], tl.float32)",
                "dv = tl.zeros([BLOCK_N, HEAD_DIM], dv_ptr.dtype.element_ty)",
            ),
            Edit(
                "dv += tl.dot(tl.trans(probs).to(do.dtype), do)",
                "dv += tl.dot(tl.trans(probs).to(do.dtype), do).to(do.dtype)",
            ),
        ),
    ),
    Entry(
        name="sums_not_zeroed",
        verdict="not_finite",
        what="Adds dquery into memory that nobody set to zero.",
        diagnosis="nobody has written",
        base=ATOMICS,
        edits=(
            Edit(
                "sums = torch.zeros(query.shape, dtype=torch.float32, device=query.device)",
                "sums = torch.empty(query.shape, dtype=torch.float32, device=query.device)",
            ),
        ),
    ),
    Entry(
        name="added_without_atomics",
        verdict="race",
        what="Adds to dquery by a load and a store, from several programs.",
        diagnosis="nothing orders them",
        base=ATOMICS,
        edits=(
            Edit(
                "tl.atomic_add(dq_ptr + at, part, mask=mask_m[:, None])",
                """
                before = tl.load(dq_ptr + at, mask=mask_m[:, None], other=0.0)
                tl.store(dq_ptr + at, before + part, mask=mask_m[:, None])
                """,
            ),
        ),
    ),
    Entry(
        name="dkey_store_not_masked",
        verdict="out_of_bounds",
        what="Stores the rows behind the last key.",
        diagnosis="past the end of",
        base=NATURAL,
        edits=(
            Edit(
                "tl.store(dk_ptr + at, dk.to(dk_ptr.dtype.element_ty), mask=mask_n)",
                "tl.store(dk_ptr + at, dk.to(dk_ptr.dtype.element_ty))",
            ),
        ),
    ),
    Entry(
        name="lse_not_written",
        verdict="not_written",
        what="Stores lse only for rows that see a key.",
        diagnosis="lse is read where nobody has written",
        base=NATURAL,
        edits=(Edit("tl.store(lse_ptr + at, lse, mask=mask_m)", "tl.store(lse_ptr + at, lse, mask=mask_m & (l_i > 0))"),),
    ),
    Entry(
        name="query_stride_assumed",
        verdict="not_finite",
        what="Takes query for contiguous.",
        diagnosis="has gaps between its rows",
        base=NATURAL,
        edits=(
            Edit(
                "strides = (*query.stride()[:3], *key.stride()[:3], *value.stride()[:3])",
                "strides = (*out.stride()[:3], *key.stride()[:3], *value.stride()[:3])",
            ),
        ),
    ),
    Entry(
        name="cache_stride_assumed",
        verdict="not_finite",
        what="Takes key and value for contiguous.",
        diagnosis="have gaps between their rows",
        base=NATURAL,
        edits=(
            Edit(
                "strides = (*query.stride()[:3], *key.stride()[:3], *value.stride()[:3])",
                "strides = (*query.stride()[:3], *dkey.stride()[:3], *dvalue.stride()[:3])",
            ),
        ),
    ),
    Entry(
        name="dout_stride_of_out",
        verdict="not_finite",
        what="Takes dout for as contiguous as out is.",
        diagnosis="dout has gaps between its rows",
        base=ATOMICS,
        edits=(
            Edit(
                "*strides, *dout.stride()[:3], softmax_scale, **sizes,", "*strides, *out.stride()[:3], softmax_scale, **sizes,"
            ),
        ),
    ),
    Entry(
        name="first_batch_of_dout",
        verdict="wrong_answer",
        what="Reads dout of the first sequence for every sequence.",
        diagnosis="its batch stride is missing",
        base=ATOMICS,
        edits=(
            Edit(
                "*strides, *dout.stride()[:3], softmax_scale, **sizes,",
                "*strides, 0, *dout.stride()[1:3], softmax_scale, **sizes,",
            ),
        ),
    ),
)
