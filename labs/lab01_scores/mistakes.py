"""The mistakes to recognise in scores, each an edit of a right answer."""

from labs.mistake import Edit, Entry

MISTAKES = (
    Entry(
        name="stride_assumed",
        verdict="not_finite",
        what="Takes the distance between keys to be head_dim.",
        diagnosis="stride",
        base="honest/starter_completed.py",
        edits=(
            Edit(
                "query, key, out, n, head_dim, key.stride(0), softmax_scale, BLOCK_N=64, BLOCK_D=triton.next_power_of_2(head_dim)",
                "query, key, out, n, head_dim, head_dim, softmax_scale, BLOCK_N=64, BLOCK_D=triton.next_power_of_2(head_dim)",
            ),
        ),
    ),
    Entry(
        name="sum_in_fp16",
        verdict="not_finite",
        what="Products and sum in the inputs' fp16.",
        diagnosis="overflow in fp16",
        base="honest/starter_completed.py",
        edits=(
            Edit(
                "query = tl.load(query_ptr + offs_d, mask=mask_d, other=0.0).to(tl.float32)",
                "query = tl.load(query_ptr + offs_d, mask=mask_d, other=0.0)",
            ),
            Edit(
                "key = tl.load(key_ptr + offs_n[:, None] * stride_key + offs_d[None, :], mask=mask, other=0.0).to(tl.float32)",
                "key = tl.load(key_ptr + offs_n[:, None] * stride_key + offs_d[None, :], mask=mask, other=0.0)",
            ),
        ),
    ),
    Entry(
        name="whole_tiles_only",
        verdict="not_written",
        what="The grid counts whole tiles.",
        diagnosis="never written",
        base="honest/starter_completed.py",
        edits=(Edit("scores_kernel[(triton.cdiv(n, 64),)](", "scores_kernel[(max(n // 64, 1),)]("),),
    ),
    Entry(
        name="store_without_mask",
        verdict="out_of_bounds",
        what="The last tile stores past the end.",
        diagnosis="past the end of out",
        base="honest/starter_completed.py",
        edits=(Edit("tl.store(out_ptr + offs_n, result, mask=offs_n < n)", "tl.store(out_ptr + offs_n, result)"),),
    ),
    Entry(
        name="absolute_value",
        verdict="wrong_answer",
        what="Signs are lost.",
        diagnosis="absolute value of the scores",
        base="honest/starter_completed.py",
        edits=(
            Edit(
                "result = tl.sum(key * query[None, :], axis=1) * softmax_scale",
                """
                result = tl.sum(key * query[None, :], axis=1) * softmax_scale
                result = tl.abs(result)
                """,
            ),
        ),
    ),
    Entry(
        name="components_lost",
        verdict="wrong_answer",
        what="The tile is the power of two below head_dim.",
        diagnosis="beyond the last whole power of two",
        base="honest/starter_completed.py",
        edits=(
            Edit(
                "query, key, out, n, head_dim, key.stride(0), softmax_scale, BLOCK_N=64, BLOCK_D=triton.next_power_of_2(head_dim)",
                "query, key, out, n, head_dim, key.stride(0), softmax_scale, BLOCK_N=64, BLOCK_D=triton.next_power_of_2(head_dim + 1) // 2",
            ),
        ),
    ),
    Entry(
        name="first_tile_again",
        verdict="wrong_answer",
        what="The load forgets the program id.",
        diagnosis="reads the first tile of keys",
        base="honest/starter_completed.py",
        edits=(
            Edit(
                "key = tl.load(key_ptr + offs_n[:, None] * stride_key + offs_d[None, :], mask=mask, other=0.0).to(tl.float32)",
                "key = tl.load(key_ptr + tl.arange(0, BLOCK_N)[:, None] * stride_key + offs_d[None, :], mask=mask, other=0.0).to(tl.float32)",
            ),
        ),
    ),
    Entry(
        name="key_with_itself",
        verdict="wrong_answer",
        what="key times key.",
        diagnosis="key · key",
        base="honest/starter_completed.py",
        edits=(
            Edit(
                "result = tl.sum(key * query[None, :], axis=1) * softmax_scale",
                "result = tl.sum(key * key, axis=1) * softmax_scale",
            ),
        ),
    ),
    Entry(
        name="last_component_lost",
        verdict="wrong_answer",
        what="The mask ends one component early.",
        diagnosis="last component of head_dim is left out",
        base="honest/starter_completed.py",
        edits=(Edit("mask_d = offs_d < head_dim", "mask_d = offs_d < head_dim - 1"),),
    ),
    Entry(
        name="mean_of_products",
        verdict="wrong_answer",
        what="A mean in place of a sum.",
        diagnosis="averaged over head_dim",
        base="honest/starter_completed.py",
        edits=(
            Edit(
                "result = tl.sum(key * query[None, :], axis=1) * softmax_scale",
                "result = tl.sum(key * query[None, :], axis=1) * softmax_scale / head_dim",
            ),
        ),
    ),
    Entry(
        name="rounded_to_fp16",
        verdict="wrong_answer",
        what="fp32 inputs pass through fp16.",
        diagnosis="11 significant bits",
        base="honest/starter_completed.py",
        edits=(
            Edit(
                "query = tl.load(query_ptr + offs_d, mask=mask_d, other=0.0).to(tl.float32)",
                "query = tl.load(query_ptr + offs_d, mask=mask_d, other=0.0).to(tl.float16).to(tl.float32)",
            ),
            Edit(
                "key = tl.load(key_ptr + offs_n[:, None] * stride_key + offs_d[None, :], mask=mask, other=0.0).to(tl.float32)",
                "key = tl.load(key_ptr + offs_n[:, None] * stride_key + offs_d[None, :], mask=mask, other=0.0).to(tl.float16).to(tl.float32)",
            ),
        ),
    ),
    Entry(
        name="scale_divided",
        verdict="wrong_answer",
        what="Divides by softmax_scale.",
        diagnosis="divided by softmax_scale",
        base="honest/starter_completed.py",
        edits=(
            Edit(
                "result = tl.sum(key * query[None, :], axis=1) * softmax_scale",
                "result = tl.sum(key * query[None, :], axis=1) / softmax_scale",
            ),
        ),
    ),
    Entry(
        name="scale_forgotten",
        verdict="wrong_answer",
        what="softmax_scale is not used.",
        diagnosis="scores without softmax_scale",
        base="honest/starter_completed.py",
        edits=(
            Edit(
                "result = tl.sum(key * query[None, :], axis=1) * softmax_scale", "result = tl.sum(key * query[None, :], axis=1)"
            ),
        ),
    ),
    Entry(
        name="scale_ignored",
        verdict="wrong_answer",
        what="1/sqrt(head_dim), whatever is asked for.",
        diagnosis="softmax_scale, which may differ, is ignored",
        base="honest/starter_completed.py",
        edits=(
            Edit(
                "query, key, out, n, head_dim, key.stride(0), softmax_scale, BLOCK_N=64, BLOCK_D=triton.next_power_of_2(head_dim)",
                "query, key, out, n, head_dim, key.stride(0), head_dim**-0.5, BLOCK_N=64, BLOCK_D=triton.next_power_of_2(head_dim)",
            ),
        ),
    ),
    Entry(
        name="scale_one_over_d",
        verdict="wrong_answer",
        what="Divides by head_dim.",
        diagnosis="divided by head_dim",
        base="honest/starter_completed.py",
        edits=(
            Edit(
                "result = tl.sum(key * query[None, :], axis=1) * softmax_scale",
                "result = tl.sum(key * query[None, :], axis=1) / head_dim",
            ),
        ),
    ),
    Entry(
        name="scale_twice",
        verdict="wrong_answer",
        what="The query is scaled, and the scores once more.",
        diagnosis="applied twice",
        base="honest/starter_completed.py",
        edits=(
            Edit(
                "query = tl.load(query_ptr + offs_d, mask=mask_d, other=0.0).to(tl.float32)",
                "query = tl.load(query_ptr + offs_d, mask=mask_d, other=0.0).to(tl.float32) * softmax_scale",
            ),
        ),
    ),
)
