"""The mistakes to recognise in safe softmax, each an edit of a right answer."""

from labs.mistake import Edit, Entry

MISTAKES = (
    Entry(
        name="arange_of_cols",
        verdict="compile_error",
        what="A tile as wide as the row: not a power of two.",
        diagnosis="power of two",
        base="honest/starter_completed.py",
        edits=(Edit("block = triton.next_power_of_2(cols)", "block = cols"),),
    ),
    Entry(
        name="max_not_subtracted",
        verdict="not_finite",
        what="exp of the raw values.",
        diagnosis="subtract the row's maximum",
        base="honest/starter_completed.py",
        edits=(Edit("numerator = tl.exp(x - m)", "numerator = tl.exp(x)"),),
    ),
    Entry(
        name="max_starts_at_zero",
        verdict="not_finite",
        what="The running maximum starts at 0, so a row far below zero underflows.",
        diagnosis="maximum was taken to be at least 0",
        base="honest/starter_completed.py",
        edits=(Edit("m = tl.max(x, axis=0)", "m = tl.maximum(0.0, tl.max(x, axis=0))"),),
    ),
    Entry(
        name="minimum_subtracted",
        verdict="not_finite",
        what="Subtracts the row's minimum.",
        diagnosis="The row's minimum was subtracted",
        base="honest/starter_completed.py",
        edits=(Edit("m = tl.max(x, axis=0)", "m = tl.min(x, axis=0)"),),
    ),
    Entry(
        name="one_max_for_all_rows",
        verdict="not_finite",
        what="A tile of four rows, with one maximum for all of them.",
        diagnosis="one maximum was taken over several rows",
        base="honest/many_rows.py",
        edits=(
            Edit(
                """
                m = tl.max(x, axis=1)
                m = tl.where(m == -float("inf"), 0.0, m)  # rows past the end
                numerator = tl.exp(x - m[:, None])
                """,
                "numerator = tl.exp(x - tl.max(x))",
            ),
            Edit("total = tl.where(total == 0.0, 1.0, total)", ""),
        ),
    ),
    Entry(
        name="stride_assumed",
        verdict="not_finite",
        what="Takes the distance between rows to be cols.",
        diagnosis="stride",
        base="honest/starter_completed.py",
        edits=(
            Edit(
                "softmax_kernel[(rows,)](x, out, cols, x.stride(0), out.stride(0), BLOCK=block)",
                "softmax_kernel[(rows,)](x, out, cols, cols, out.stride(0), BLOCK=block)",
            ),
        ),
    ),
    Entry(
        name="half_of_the_rows",
        verdict="not_written",
        what="The grid has half as many programs as rows.",
        diagnosis="never written",
        base="honest/starter_completed.py",
        edits=(
            Edit(
                "softmax_kernel[(rows,)](x, out, cols, x.stride(0), out.stride(0), BLOCK=block)",
                "softmax_kernel[(max(rows // 2, 1),)](x, out, cols, x.stride(0), out.stride(0), BLOCK=block)",
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
                "tl.store(out_ptr + row * stride_out + offs, numerator / total, mask=mask)",
                "tl.store(out_ptr + row * stride_out + offs, numerator / total)",
            ),
        ),
    ),
    Entry(
        name="library_softmax",
        verdict="refused",
        what="Lets the library do the exercise.",
        diagnosis="softmax",
        base="honest/starter_completed.py",
        edits=(
            Edit(
                """
                m = tl.max(x, axis=0)
                numerator = tl.exp(x - m)
                total = tl.sum(numerator, axis=0)
                tl.store(out_ptr + row * stride_out + offs, numerator / total, mask=mask)
                """,
                "tl.store(out_ptr + row * stride_out + offs, tl.softmax(x), mask=mask)",
            ),
        ),
    ),
    Entry(
        name="divided_by_cols",
        verdict="wrong_answer",
        what="Divides by the number of columns.",
        diagnosis="number of columns, not by the row's sum",
        base="honest/starter_completed.py",
        edits=(
            Edit(
                "tl.store(out_ptr + row * stride_out + offs, numerator / total, mask=mask)",
                "tl.store(out_ptr + row * stride_out + offs, numerator / cols, mask=mask)",
            ),
        ),
    ),
    Entry(
        name="divided_by_length",
        verdict="wrong_answer",
        what="Divides by the root of the sum of squares.",
        diagnosis="root of its sum of squares",
        base="honest/starter_completed.py",
        edits=(Edit("total = tl.sum(numerator, axis=0)", "total = tl.sqrt(tl.sum(numerator * numerator, axis=0))"),),
    ),
    Entry(
        name="exp2_without_log2e",
        verdict="wrong_answer",
        what="exp2 in place of exp.",
        diagnosis="softmax in base 2",
        base="honest/starter_completed.py",
        edits=(Edit("numerator = tl.exp(x - m)", "numerator = tl.exp2(x - m)"),),
    ),
    Entry(
        name="last_column_lost",
        verdict="wrong_answer",
        what="The load ends one column early; the store does not.",
        diagnosis="mask ends one column early",
        base="honest/starter_completed.py",
        edits=(
            Edit(
                'x = tl.load(x_ptr + row * stride_x + offs, mask=mask, other=-float("inf")).to(tl.float32)',
                'x = tl.load(x_ptr + row * stride_x + offs, mask=offs < cols - 1, other=-float("inf")).to(tl.float32)',
            ),
        ),
    ),
    Entry(
        name="log_softmax",
        verdict="wrong_answer",
        what="Stores the logarithm.",
        diagnosis="logarithm of the softmax",
        base="honest/starter_completed.py",
        edits=(
            Edit(
                "tl.store(out_ptr + row * stride_out + offs, numerator / total, mask=mask)",
                "tl.store(out_ptr + row * stride_out + offs, x - m - tl.log(total), mask=mask)",
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
                "tl.store(out_ptr + row * stride_out + offs, numerator / total, mask=mask)",
                "tl.store(out_ptr + row * stride_out + offs, numerator, mask=mask)",
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
                'x = tl.load(x_ptr + row * stride_x + offs, mask=mask, other=-float("inf")).to(tl.float32)',
                "x = tl.load(x_ptr + row * stride_x + offs, mask=mask, other=0.0).to(tl.float32)",
            ),
        ),
    ),
    Entry(
        name="padding_not_given",
        verdict="wrong_answer",
        what="A masked load without `other`: the padding is whatever comes, here 0.",
        diagnosis="Padding takes part in the softmax",
        base="honest/starter_completed.py",
        edits=(
            Edit(
                'x = tl.load(x_ptr + row * stride_x + offs, mask=mask, other=-float("inf")).to(tl.float32)',
                "x = tl.load(x_ptr + row * stride_x + offs, mask=mask).to(tl.float32)",
            ),
        ),
    ),
    Entry(
        name="sign_of_the_exponent",
        verdict="wrong_answer",
        what="exp(m − x) with the row's minimum.",
        diagnosis="softmax of −x",
        base="honest/starter_completed.py",
        edits=(
            Edit(
                """
                x = tl.load(x_ptr + row * stride_x + offs, mask=mask, other=-float("inf")).to(tl.float32)
                m = tl.max(x, axis=0)
                numerator = tl.exp(x - m)
                """,
                """
                x = tl.load(x_ptr + row * stride_x + offs, mask=mask, other=float("inf")).to(tl.float32)
                m = tl.min(x, axis=0)
                numerator = tl.exp(m - x)
                """,
            ),
        ),
    ),
    Entry(
        name="sum_in_fp16",
        verdict="wrong_answer",
        what="The sum is taken over fp16 numbers.",
        diagnosis="accumulate in fp32",
        base="honest/starter_completed.py",
        edits=(Edit("total = tl.sum(numerator, axis=0)", "total = tl.sum(numerator.to(tl.float16), axis=0).to(tl.float32)"),),
    ),
)
