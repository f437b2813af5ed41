"""The mistakes to recognise in causal attention, each an edit of a right answer."""

from labs.mistake import Edit, Entry

MISTAKES = (
    Entry(
        name="diagonal_first",
        verdict="not_finite",
        what="Walks from the diagonal back to the first key, with BLOCK_M above BLOCK_N, and no guard for m = -inf.",
        diagnosis="masked entirely",
        base="honest/diagonal_first.py",
        edits=(Edit('m_safe = tl.where(m_new == -float("inf"), 0.0, m_new)', "m_safe = m_new"),),
    ),
    Entry(
        name="fully_masked_tile",
        verdict="not_finite",
        what="Takes each tile's own maximum, which is -inf where a tile is masked for a whole row.",
        diagnosis="masked entirely",
        base="honest/masks_without_skipping.py",
        edits=(
            Edit(
                "m_new = tl.maximum(m_i, tl.max(scores, axis=1))",
                """
                m_tile = tl.max(scores, axis=1)
                probs = tl.exp(scores - m_tile[:, None])
                m_new = tl.maximum(m_i, m_tile)
                """,
            ),
            Edit(
                """
                probs = tl.exp(scores - m_safe[:, None])
                l_i = l_i * alpha + tl.sum(probs, axis=1)
                acc = acc * alpha[:, None] + tl.dot(probs.to(v.dtype), v)
                """,
                """
                beta = tl.exp(m_tile - m_safe)
                l_i = l_i * alpha + tl.sum(probs, axis=1) * beta
                acc = acc * alpha[:, None] + tl.dot((probs * beta[:, None]).to(v.dtype), v)
                """,
            ),
        ),
    ),
    Entry(
        name="max_not_subtracted",
        verdict="not_finite",
        what="Does not subtract the maximum.",
        diagnosis="exp overflows",
        base="honest/masks_without_skipping.py",
        edits=(
            Edit(
                """
                m_safe = tl.where(m_new == -float("inf"), 0.0, m_new)
                alpha = tl.exp(m_i - m_safe)
                probs = tl.exp(scores - m_safe[:, None])
                l_i = l_i * alpha + tl.sum(probs, axis=1)
                acc = acc * alpha[:, None] + tl.dot(probs.to(v.dtype), v)
                """,
                """
                probs = tl.exp(scores)
                l_i = l_i + tl.sum(probs, axis=1)
                acc = acc + tl.dot(probs.to(v.dtype), v)
                """,
            ),
        ),
    ),
    Entry(
        name="no_visible_key",
        verdict="not_finite",
        what="Takes no care of rows that see no key.",
        diagnosis="row that sees no key",
        base="honest/masks_without_skipping.py",
        edits=(Edit('m_safe = tl.where(m_new == -float("inf"), 0.0, m_new)', "m_safe = m_new"),),
    ),
    Entry(
        name="query_stride_assumed",
        verdict="not_finite",
        what="Takes the query for contiguous.",
        diagnosis="has gaps between its rows",
        base="honest/masks_without_skipping.py",
        edits=(
            Edit(
                "*query.stride()[:3], *key.stride()[:3], *value.stride()[:3],",
                "heads * seqlen_q * head_dim, seqlen_q * head_dim, head_dim, *key.stride()[:3], *value.stride()[:3],",
            ),
        ),
    ),
    Entry(
        name="one_tile_of_queries",
        verdict="not_written",
        what="Launches one tile of queries only.",
        diagnosis="never written",
        base="honest/masks_without_skipping.py",
        edits=(Edit("attention_kernel[(triton.cdiv(seqlen_q, 64), batch * heads)](", "attention_kernel[(1, batch * heads)]("),),
    ),
    Entry(
        name="store_without_mask",
        verdict="out_of_bounds",
        what="Stores the rows past the end too.",
        diagnosis="past the end of out",
        base="honest/masks_without_skipping.py",
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
        what="Forgets to rescale acc.",
        diagnosis="acc is not",
        base="honest/masks_without_skipping.py",
        edits=(Edit("acc = acc * alpha[:, None] + tl.dot(probs.to(v.dtype), v)", "acc = acc + tl.dot(probs.to(v.dtype), v)"),),
    ),
    Entry(
        name="diagonal_excluded",
        verdict="wrong_answer",
        what="Hides the key at a query's own place.",
        diagnosis="sees itself",
        base="honest/masks_without_skipping.py",
        edits=(
            Edit(
                "visible = mask_n[None, :] & (offs_n[None, :] <= last_seen[:, None])",
                "visible = mask_n[None, :] & (offs_n[None, :] < last_seen[:, None])",
            ),
        ),
    ),
    Entry(
        name="diagonal_tile_skipped",
        verdict="wrong_answer",
        what="Ends the loop before the tile on the diagonal.",
        diagnosis="on the diagonal",
        base="honest/persistent.py",
        edits=(Edit("for start in range(0, end, BLOCK_N):", "for start in range(0, end - BLOCK_N, BLOCK_N):"),),
    ),
    Entry(
        name="mask_of_the_tile",
        verdict="wrong_answer",
        what="Compares positions inside the tiles, not in the sequence.",
        diagnosis="position inside its tile",
        base="honest/masks_without_skipping.py",
        edits=(
            Edit(
                "visible = mask_n[None, :] & (offs_n[None, :] <= last_seen[:, None])",
                "visible = mask_n[None, :] & (tl.arange(0, BLOCK_N)[None, :] <= tl.arange(0, BLOCK_M)[:, None] + seqlen_kv - seqlen_q)",
            ),
        ),
    ),
    Entry(
        name="masked_after_the_softmax",
        verdict="wrong_answer",
        what="Masks the weights, not the scores: the sum runs over hidden keys too.",
        diagnosis="after the softmax",
        base="honest/masks_without_skipping.py",
        edits=(
            Edit(
                'scores = tl.where(visible, scores, -float("inf"))', 'scores = tl.where(mask_n[None, :], scores, -float("inf"))'
            ),
            Edit(
                "acc = acc * alpha[:, None] + tl.dot(probs.to(v.dtype), v)",
                "acc = acc * alpha[:, None] + tl.dot(tl.where(visible, probs, 0.0).to(v.dtype), v)",
            ),
        ),
    ),
    Entry(
        name="masked_with_zero",
        verdict="wrong_answer",
        what="Masks with a score of 0.",
        diagnosis="exp(0 − m) is not 0",
        base="honest/masks_without_skipping.py",
        edits=(
            Edit(
                'scores = tl.where(visible, scores, -float("inf"))',
                'scores = tl.where(visible, scores, tl.where(mask_n[None, :], 0.0, -float("inf")))',
            ),
        ),
    ),
    Entry(
        name="not_causal",
        verdict="wrong_answer",
        what="Has no causal mask.",
        diagnosis="every query sees every key",
        base="honest/masks_without_skipping.py",
        edits=(Edit("visible = mask_n[None, :] & (offs_n[None, :] <= last_seen[:, None])", "visible = mask_n[None, :]"),),
    ),
    Entry(
        name="not_normalised",
        verdict="wrong_answer",
        what="Forgets the division.",
        diagnosis="never divided",
        base="honest/masks_without_skipping.py",
        edits=(Edit("result = acc / l_safe[:, None]", "result = acc"),),
    ),
    Entry(
        name="nothing_for_no_key",
        verdict="wrong_answer",
        what="Gives the mean of value to rows that see no key.",
        diagnosis="sees no key",
        base="honest/masks_without_skipping.py",
        edits=(
            Edit(
                'scores = tl.where(visible, scores, -float("inf"))',
                'scores = tl.where(visible, scores, tl.where(mask_n[None, :], -1.0e4, -float("inf")))',
            ),
        ),
    ),
    Entry(
        name="one_key_too_many",
        verdict="wrong_answer",
        what="Shows each query the next key as well.",
        diagnosis="one key of the future",
        base="honest/masks_without_skipping.py",
        edits=(
            Edit(
                "visible = mask_n[None, :] & (offs_n[None, :] <= last_seen[:, None])",
                "visible = mask_n[None, :] & (offs_n[None, :] <= last_seen[:, None] + 1)",
            ),
        ),
    ),
    Entry(
        name="past_hidden",
        verdict="wrong_answer",
        what="Shows the future and hides the past.",
        diagnosis="turned round",
        base="honest/masks_without_skipping.py",
        edits=(
            Edit(
                "visible = mask_n[None, :] & (offs_n[None, :] <= last_seen[:, None])",
                "visible = mask_n[None, :] & (offs_n[None, :] >= last_seen[:, None])",
            ),
        ),
    ),
    Entry(
        name="scale_ignored",
        verdict="wrong_answer",
        what="Uses 1/√head_dim.",
        diagnosis="ignored",
        base="honest/masks_without_skipping.py",
        edits=(
            Edit(
                "scores = tl.dot(q, tl.trans(k)) * softmax_scale",
                "scores = tl.dot(q, tl.trans(k)) * (1.0 / tl.sqrt(HEAD_DIM * 1.0))",
            ),
        ),
    ),
    Entry(
        name="top_left",
        verdict="wrong_answer",
        what="Aligns the mask to the first key.",
        diagnosis="top-left",
        base="honest/masks_without_skipping.py",
        edits=(Edit("last_seen = offs_m + seqlen_kv - seqlen_q", "last_seen = offs_m"),),
    ),
    Entry(
        name="maximum_before_mask",
        verdict="wrong_answer",
        what="The maximum is taken of scores that are not masked yet.",
        diagnosis="Hidden keys take part in the maximum",
        base="honest/diagonal_first.py",
        edits=(
            Edit(
                "m_new = tl.maximum(m_i, tl.max(scores, axis=1))",
                "m_new = tl.maximum(m_i, tl.max(tl.dot(q, tl.trans(k)) * softmax_scale, axis=1))",
            ),
        ),
    ),
)
