"""The mistakes to recognise in online softmax, each an edit of a right answer."""

from labs.mistake import Edit, Entry

MISTAKES = (
    Entry(
        name="last_tile_lost",
        verdict="not_finite",
        what="The first loop runs over the whole tiles only.",
        diagnosis="ragged tile is left out",
        base="honest/starter_completed.py",
        edits=(
            Edit(
                """
                l_i = tl.full([], 0.0, tl.float32)
                for start in range(0, cols, BLOCK):
                """,
                """
                l_i = tl.full([], 0.0, tl.float32)
                for start in range(0, cols // BLOCK * BLOCK, BLOCK):
                """,
            ),
        ),
    ),
    Entry(
        name="masked_first_block",
        verdict="not_finite",
        what="The new maximum is subtracted unguarded: −inf − (−inf).",
        diagnosis="exp(−inf − (−inf)) is NaN",
        base="honest/starter_completed.py",
        edits=(Edit('base = tl.where(m_new == -float("inf"), 0.0, m_new)', "base = m_new"),),
    ),
    Entry(
        name="max_not_subtracted",
        verdict="not_finite",
        what="exp of the raw values.",
        diagnosis="subtract the row's maximum",
        base="honest/starter_completed.py",
        edits=(Edit("m_new = tl.maximum(m_i, tl.max(x, axis=0))", "m_new = tl.full([], 0.0, tl.float32)"),),
    ),
    Entry(
        name="max_replaced",
        verdict="not_finite",
        what="The tile's maximum replaces the running one.",
        diagnosis="replaced by the tile's",
        base="honest/starter_completed.py",
        edits=(Edit("m_new = tl.maximum(m_i, tl.max(x, axis=0))", "m_new = tl.max(x, axis=0)"),),
    ),
    Entry(
        name="max_starts_at_zero",
        verdict="not_finite",
        what="The running maximum starts at 0.",
        diagnosis="running maximum starts at 0",
        base="honest/starter_completed.py",
        edits=(Edit('m_i = tl.full([], -float("inf"), tl.float32)', "m_i = tl.full([], 0.0, tl.float32)"),),
    ),
    Entry(
        name="stride_assumed",
        verdict="not_finite",
        what="Takes the distance between rows to be cols.",
        diagnosis="stride",
        base="honest/starter_completed.py",
        edits=(
            Edit(
                "softmax_kernel[(rows,)](x, out, cols, x.stride(0), out.stride(0), BLOCK=1024)",
                "softmax_kernel[(rows,)](x, out, cols, cols, out.stride(0), BLOCK=1024)",
            ),
        ),
    ),
    Entry(
        name="first_tile_written",
        verdict="not_written",
        what="The second loop stores the first tile only.",
        diagnosis="never written",
        base="honest/starter_completed.py",
        edits=(
            Edit(
                """
                    m_i = m_new
                for start in range(0, cols, BLOCK):
                """,
                """
                    m_i = m_new
                for start in range(0, BLOCK, BLOCK):
                """,
            ),
        ),
    ),
    Entry(
        name="store_without_mask",
        verdict="out_of_bounds",
        what="The store writes the padding too.",
        diagnosis="past the end of out",
        base="honest/starter_completed.py",
        edits=(
            Edit(
                "tl.store(out_ptr + row * stride_out + col, tl.exp(x - m_i) / l_i, mask=col < cols)",
                "tl.store(out_ptr + row * stride_out + col, tl.exp(x - m_i) / l_i)",
            ),
        ),
    ),
    Entry(
        name="library_softmax",
        verdict="refused",
        what="Lets the library do the exercise, in one tile.",
        diagnosis="softmax",
        base="honest/one_tile.py",
        edits=(
            Edit(
                """
                numerator = tl.exp(x - tl.max(x, axis=0))
                tl.store(out_ptr + row * stride_out + offs, numerator / tl.sum(numerator, axis=0), mask=offs < cols)
                """,
                "tl.store(out_ptr + row * stride_out + offs, tl.softmax(x), mask=offs < cols)",
            ),
        ),
    ),
    Entry(
        name="each_tile_alone",
        verdict="wrong_answer",
        what="A softmax of each tile by itself.",
        diagnosis="softmax of each tile, not of the row",
        base="honest/starter_completed.py",
        edits=(
            Edit("m_new = tl.maximum(m_i, tl.max(x, axis=0))", "m_new = tl.max(x, axis=0)"),
            Edit(
                """
                alpha = tl.exp(m_i - base)
                l_i = l_i * alpha + tl.sum(tl.exp(x - base), axis=0)
                """,
                "l_i = tl.sum(tl.exp(x - base), axis=0)",
            ),
            Edit(
                """
                    m_i = m_new
                for start in range(0, cols, BLOCK):
                    col = start + offs
                    x = tl.load(x_ptr + row * stride_x + col, mask=col < cols, other=-float("inf")).to(tl.float32)
                    tl.store(out_ptr + row * stride_out + col, tl.exp(x - m_i) / l_i, mask=col < cols)
                """,
                "    tl.store(out_ptr + row * stride_out + col, tl.exp(x - base) / l_i, mask=col < cols)",
            ),
        ),
    ),
    Entry(
        name="exp2_without_log2e",
        verdict="wrong_answer",
        what="exp2 in place of exp.",
        diagnosis="softmax in base 2",
        base="honest/starter_completed.py",
        edits=(
            Edit(
                """
                alpha = tl.exp(m_i - base)
                l_i = l_i * alpha + tl.sum(tl.exp(x - base), axis=0)
                """,
                """
                alpha = tl.exp2(m_i - base)
                l_i = l_i * alpha + tl.sum(tl.exp2(x - base), axis=0)
                """,
            ),
            Edit(
                "tl.store(out_ptr + row * stride_out + col, tl.exp(x - m_i) / l_i, mask=col < cols)",
                "tl.store(out_ptr + row * stride_out + col, tl.exp2(x - m_i) / l_i, mask=col < cols)",
            ),
        ),
    ),
    Entry(
        name="first_tile_only",
        verdict="wrong_answer",
        what="Maximum and sum of the first tile only.",
        diagnosis="first tile alone",
        base="honest/starter_completed.py",
        edits=(
            Edit(
                """
                l_i = tl.full([], 0.0, tl.float32)
                for start in range(0, cols, BLOCK):
                """,
                """
                l_i = tl.full([], 0.0, tl.float32)
                for start in range(0, BLOCK, BLOCK):
                """,
            ),
        ),
    ),
    Entry(
        name="normalised_on_the_way",
        verdict="wrong_answer",
        what="Writes each tile in the first pass.",
        diagnosis="Write in a second pass",
        base="honest/starter_completed.py",
        edits=(
            Edit(
                """
                    m_i = m_new
                for start in range(0, cols, BLOCK):
                    col = start + offs
                    x = tl.load(x_ptr + row * stride_x + col, mask=col < cols, other=-float("inf")).to(tl.float32)
                    tl.store(out_ptr + row * stride_out + col, tl.exp(x - m_i) / l_i, mask=col < cols)
                """,
                """
                    m_i = m_new
                    tl.store(out_ptr + row * stride_out + col, tl.exp(x - base) / l_i, mask=col < cols)
                """,
            ),
        ),
    ),
    Entry(
        name="not_normalised",
        verdict="wrong_answer",
        what="No division.",
        diagnosis="before the division by the row's sum",
        base="honest/starter_completed.py",
        edits=(
            Edit(
                "tl.store(out_ptr + row * stride_out + col, tl.exp(x - m_i) / l_i, mask=col < cols)",
                "tl.store(out_ptr + row * stride_out + col, tl.exp(x - m_i), mask=col < cols)",
            ),
        ),
    ),
    Entry(
        name="padding_is_zero",
        verdict="wrong_answer",
        what="The padding is loaded as 0 and takes part.",
        diagnosis="Padding takes part in the softmax",
        base="honest/starter_completed.py",
        edits=(
            Edit(
                """
                x = tl.load(x_ptr + row * stride_x + col, mask=col < cols, other=-float("inf")).to(tl.float32)
                m_new = tl.maximum(m_i, tl.max(x, axis=0))
                """,
                """
                x = tl.load(x_ptr + row * stride_x + col, mask=col < cols, other=0.0).to(tl.float32)
                m_new = tl.maximum(m_i, tl.max(x, axis=0))
                """,
            ),
        ),
    ),
    Entry(
        name="sum_in_fp16",
        verdict="wrong_answer",
        what="The running sum is an fp16 number.",
        diagnosis="accumulate in fp32",
        base="honest/starter_completed.py",
        edits=(
            Edit("l_i = tl.full([], 0.0, tl.float32)", "l_i = tl.full([], 0.0, tl.float16)"),
            Edit(
                "l_i = l_i * alpha + tl.sum(tl.exp(x - base), axis=0)",
                "l_i = (l_i * alpha + tl.sum(tl.exp(x - base), axis=0)).to(tl.float16)",
            ),
            Edit(
                "tl.store(out_ptr + row * stride_out + col, tl.exp(x - m_i) / l_i, mask=col < cols)",
                "tl.store(out_ptr + row * stride_out + col, tl.exp(x - m_i) / l_i.to(tl.float32), mask=col < cols)",
            ),
        ),
    ),
    Entry(
        name="sum_not_rescaled",
        verdict="wrong_answer",
        what="The old sum keeps the scale of an old maximum.",
        diagnosis="old sum is not rescaled",
        base="honest/starter_completed.py",
        edits=(
            Edit(
                """
                alpha = tl.exp(m_i - base)
                l_i = l_i * alpha + tl.sum(tl.exp(x - base), axis=0)
                """,
                "l_i = l_i + tl.sum(tl.exp(x - base), axis=0)",
            ),
        ),
    ),
    Entry(
        name="sum_not_rescaled_small_tile",
        verdict="wrong_answer",
        what="The old sum keeps the scale of an old maximum, in tiles of 512 columns.",
        diagnosis="l is not multiplied by exp(m_old − m_new)",
        base="honest/starter_completed.py",
        edits=(
            Edit(
                """
                alpha = tl.exp(m_i - base)
                l_i = l_i * alpha + tl.sum(tl.exp(x - base), axis=0)
                """,
                "l_i = l_i + tl.sum(tl.exp(x - base), axis=0)",
            ),
            Edit(
                "softmax_kernel[(rows,)](x, out, cols, x.stride(0), out.stride(0), BLOCK=1024)",
                "softmax_kernel[(rows,)](x, out, cols, x.stride(0), out.stride(0), BLOCK=512)",
            ),
        ),
    ),
)
