"""The mistakes to recognise in a copy, each an edit of a right answer."""

from labs.mistake import Edit, Entry

MISTAKES = (
    Entry(
        name="stride_assumed",
        verdict="not_finite",
        what="Takes the distance between rows to be cols: what lies between them is copied.",
        diagnosis="stride",
        base="honest/starter_completed.py",
        edits=(
            Edit(
                "copy_kernel[(rows, triton.cdiv(cols, 1024))](x, out, cols, x.stride(0), out.stride(0), BLOCK=1024)",
                "copy_kernel[(rows, triton.cdiv(cols, 1024))](x, out, cols, cols, out.stride(0), BLOCK=1024)",
            ),
        ),
    ),
    Entry(
        name="last_column_lost",
        verdict="not_written",
        what="The mask ends one column early.",
        diagnosis="never written",
        base="honest/starter_completed.py",
        edits=(Edit("mask = offs < cols", "mask = offs < cols - 1"),),
    ),
    Entry(
        name="one_tile_a_row",
        verdict="not_written",
        what="The grid has one tile a row.",
        diagnosis="never written",
        base="honest/starter_completed.py",
        edits=(
            Edit(
                "copy_kernel[(rows, triton.cdiv(cols, 1024))](x, out, cols, x.stride(0), out.stride(0), BLOCK=1024)",
                "copy_kernel[(rows, 1)](x, out, cols, x.stride(0), out.stride(0), BLOCK=1024)",
            ),
        ),
    ),
    Entry(
        name="whole_tiles_only",
        verdict="not_written",
        what="The grid counts whole tiles.",
        diagnosis="never written",
        base="honest/starter_completed.py",
        edits=(
            Edit(
                "copy_kernel[(rows, triton.cdiv(cols, 1024))](x, out, cols, x.stride(0), out.stride(0), BLOCK=1024)",
                "copy_kernel[(rows, max(cols // 1024, 1))](x, out, cols, x.stride(0), out.stride(0), BLOCK=1024)",
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
            Edit("tl.store(out_ptr + row * stride_out + offs, x, mask=mask)", "tl.store(out_ptr + row * stride_out + offs, x)"),
        ),
    ),
    Entry(
        name="doubled",
        verdict="wrong_answer",
        what="Adds x to itself.",
        diagnosis="twice that of x",
        base="honest/starter_completed.py",
        edits=(
            Edit(
                "tl.store(out_ptr + row * stride_out + offs, x, mask=mask)",
                "tl.store(out_ptr + row * stride_out + offs, x + x, mask=mask)",
            ),
        ),
    ),
    Entry(
        name="first_row_again",
        verdict="wrong_answer",
        what="The load forgets the row.",
        diagnosis="Every row of out is row 0",
        base="honest/starter_completed.py",
        edits=(Edit("x = tl.load(x_ptr + row * stride_x + offs, mask=mask)", "x = tl.load(x_ptr + offs, mask=mask)"),),
    ),
    Entry(
        name="first_tile_again",
        verdict="wrong_answer",
        what="The load forgets the tile.",
        diagnosis="first tile of each row is repeated",
        base="honest/starter_completed.py",
        edits=(
            Edit(
                "x = tl.load(x_ptr + row * stride_x + offs, mask=mask)",
                "x = tl.load(x_ptr + row * stride_x + tl.arange(0, BLOCK), mask=mask)",
            ),
        ),
    ),
    Entry(
        name="offsets_stored",
        verdict="wrong_answer",
        what="Stores the offsets.",
        diagnosis="column numbers",
        base="honest/starter_completed.py",
        edits=(
            Edit(
                "tl.store(out_ptr + row * stride_out + offs, x, mask=mask)",
                "tl.store(out_ptr + row * stride_out + offs, offs.to(tl.float32), mask=mask)",
            ),
        ),
    ),
    Entry(
        name="rows_reversed",
        verdict="wrong_answer",
        what="Reads the rows from the last one.",
        diagnosis="from last to first",
        base="honest/starter_completed.py",
        edits=(
            Edit(
                "x = tl.load(x_ptr + row * stride_x + offs, mask=mask)",
                "x = tl.load(x_ptr + (tl.num_programs(0) - 1 - row) * stride_x + offs, mask=mask)",
            ),
        ),
    ),
    Entry(
        name="shifted_by_one",
        verdict="wrong_answer",
        what="Reads the left neighbour, the first column the last.",
        diagnosis="shifted by one column",
        base="honest/starter_completed.py",
        edits=(
            Edit(
                "x = tl.load(x_ptr + row * stride_x + offs, mask=mask)",
                "x = tl.load(x_ptr + row * stride_x + (offs + cols - 1) % cols, mask=mask)",
            ),
        ),
    ),
    Entry(
        name="through_fp16",
        verdict="wrong_answer",
        what="Numbers pass through fp16.",
        diagnosis="a copy rounds nothing",
        base="honest/starter_completed.py",
        edits=(
            Edit(
                "x = tl.load(x_ptr + row * stride_x + offs, mask=mask)",
                "x = tl.load(x_ptr + row * stride_x + offs, mask=mask).to(tl.float16)",
            ),
        ),
    ),
    Entry(
        name="zeros",
        verdict="wrong_answer",
        what="Stores something else than it loads.",
        diagnosis="out is all zero",
        base="honest/starter_completed.py",
        edits=(
            Edit(
                "tl.store(out_ptr + row * stride_out + offs, x, mask=mask)",
                "tl.store(out_ptr + row * stride_out + offs, tl.zeros([BLOCK], tl.float32), mask=mask)",
            ),
        ),
    ),
)
