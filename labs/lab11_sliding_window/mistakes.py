"""The mistakes to recognise in sliding-window attention, each an edit of a right answer."""

from labs.mistake import Edit, Entry

MISTAKES = (
    Entry(
        name="fully_masked_tile",
        verdict="not_finite",
        what="Has no guard for rows that see nothing of the first tile.",
        diagnosis="masked entirely",
        base="honest/wide_query_tiles.py",
        edits=(Edit('m_safe = tl.where(m_new == -float("inf"), 0.0, m_new)', "m_safe = m_new"),),
    ),
    Entry(
        name="max_not_subtracted",
        verdict="not_finite",
        what="Does not subtract the maximum.",
        diagnosis="exp overflows",
        base="honest/newest_first.py",
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
        name="one_tile_of_queries",
        verdict="not_written",
        what="Launches one tile of queries only.",
        diagnosis="never written",
        base="honest/newest_first.py",
        edits=(Edit("attention_kernel[(triton.cdiv(seqlen_q, 64), batch * heads)](", "attention_kernel[(1, batch * heads)]("),),
    ),
    Entry(
        name="store_without_mask",
        verdict="out_of_bounds",
        what="Stores the rows past the end too.",
        diagnosis="past the end of out",
        base="honest/newest_first.py",
        edits=(
            Edit(
                "tl.store(out_ptr + offs_m[:, None] * HEAD_DIM + offs_d[None, :], result.to(out_ptr.dtype.element_ty), mask=mask_m)",
                "tl.store(out_ptr + offs_m[:, None] * HEAD_DIM + offs_d[None, :], result.to(out_ptr.dtype.element_ty))",
            ),
        ),
    ),
    Entry(
        name="both_sides",
        verdict="wrong_answer",
        what="Looks as far ahead as back.",
        diagnosis="reaches to both sides",
        base="honest/masks_without_skipping.py",
        edits=(
            Edit(
                "visible = mask_n[None, :] & (behind >= 0) & (behind < window)",
                "visible = mask_n[None, :] & (behind > -window) & (behind < window)",
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
        what="Has a window and no causal mask.",
        diagnosis="sees the future",
        base="honest/masks_without_skipping.py",
        edits=(
            Edit(
                "visible = mask_n[None, :] & (behind >= 0) & (behind < window)", "visible = mask_n[None, :] & (behind < window)"
            ),
        ),
    ),
    Entry(
        name="not_normalised",
        verdict="wrong_answer",
        what="Forgets the division.",
        diagnosis="never divided",
        base="honest/newest_first.py",
        edits=(Edit("result = acc / l_safe[:, None]", "result = acc"),),
    ),
    Entry(
        name="one_key_too_few",
        verdict="wrong_answer",
        what="Sees window − 1 keys.",
        diagnosis="window − 1 keys",
        base="honest/newest_first.py",
        edits=(
            Edit(
                "visible = mask_n[None, :] & (behind >= 0) & (behind < window)",
                "visible = mask_n[None, :] & (behind >= 0) & (behind < window - 1)",
            ),
        ),
    ),
    Entry(
        name="one_key_too_many",
        verdict="wrong_answer",
        what="Sees window + 1 keys.",
        diagnosis="window + 1 keys",
        base="honest/masks_without_skipping.py",
        edits=(
            Edit(
                "visible = mask_n[None, :] & (behind >= 0) & (behind < window)",
                "visible = mask_n[None, :] & (behind >= 0) & (behind <= window)",
            ),
        ),
    ),
    Entry(
        name="scale_ignored",
        verdict="wrong_answer",
        what="Uses 1/√head_dim.",
        diagnosis="ignored",
        base="honest/newest_first.py",
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
        what="Aligns the window to the first key.",
        diagnosis="top-left",
        base="honest/masks_without_skipping.py",
        edits=(Edit("last_seen = offs_m + seqlen_kv - seqlen_q", "last_seen = offs_m"),),
    ),
    Entry(
        name="whole_tiles_of_the_window",
        verdict="wrong_answer",
        what="Drops the tile in which the window begins.",
        diagnosis="where the window begins",
        base="honest/newest_first.py",
        edits=(
            Edit(
                "first = tl.maximum(oldest, 0) // BLOCK_N * BLOCK_N",
                "first = tl.cdiv(tl.maximum(oldest, 0), BLOCK_N) * BLOCK_N",
            ),
        ),
    ),
    Entry(
        name="window_ignored",
        verdict="wrong_answer",
        what="Is causal and sees all of the past.",
        diagnosis="the window is ignored",
        base="honest/masks_without_skipping.py",
        edits=(
            Edit("visible = mask_n[None, :] & (behind >= 0) & (behind < window)", "visible = mask_n[None, :] & (behind >= 0)"),
        ),
    ),
)
