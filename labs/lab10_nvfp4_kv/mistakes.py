"""The mistakes to recognise in decoding over an NVFP4 cache, each an edit of a right answer."""

from labs.mistake import Edit, Entry

MISTAKES = (
    Entry(
        name="max_not_subtracted",
        verdict="not_finite",
        what="Does not subtract the row's maximum.",
        diagnosis="subtract the row's maximum first",
        base="honest/by_table.py",
        edits=(
            Edit(
                """
                alpha = tl.exp(m_i - m_new)
                probs = tl.exp(scores - m_new[:, None])
                l_i = l_i * alpha + tl.sum(probs, axis=1)
                """,
                """
                probs = tl.exp(scores)
                l_i = l_i + tl.sum(probs, axis=1)
                """,
            ),
            Edit(
                "acc = acc * alpha[:, None] + tl.dot(probs.to(query.dtype), value.to(query.dtype))",
                "acc = acc + tl.dot(probs.to(query.dtype), value.to(query.dtype))",
            ),
        ),
    ),
    Entry(
        name="no_keys",
        verdict="not_finite",
        what="0 / 0 for a sequence without keys.",
        diagnosis="with kv_len = 0",
        base="honest/even_and_odd.py",
        edits=(Edit("l_i = tl.where(l_i == 0.0, 1.0, l_i)", ""),),
    ),
    Entry(
        name="scale_e5m2",
        verdict="not_finite",
        what="Decodes the scales as E5M2.",
        diagnosis="decoded as E5M2",
        base="honest/by_table.py",
        edits=(
            Edit(
                "return (codes.to(tl.uint16) << 7).to(tl.float16, bitcast=True).to(tl.float32) * 256.0",
                "return (codes.to(tl.uint16) << 8).to(tl.float16, bitcast=True).to(tl.float32)",
            ),
        ),
    ),
    Entry(
        name="scale_strides_assumed",
        verdict="not_finite",
        what="Takes the scales' rows to be as far apart as in a contiguous tensor.",
        diagnosis="gaps between their rows",
        base="honest/by_table.py",
        edits=(
            Edit(
                "query.stride(0), query.stride(1), *key_codes.stride()[:3], *key_scales.stride()[:3],",
                "query.stride(0), query.stride(1), *key_codes.stride()[:3], num_heads_kv * seqlen_kv * (head_dim // 16), seqlen_kv * (head_dim // 16), head_dim // 16,",
            ),
        ),
    ),
    Entry(
        name="odd_channels",
        verdict="not_written",
        what="Stores the even channels only.",
        diagnosis="never written",
        base="honest/even_and_odd.py",
        edits=(Edit("tl.store(out_ptrs + 1, (acc_odd * scale).to(out_ptr.dtype.element_ty), mask=mask_g[:, None])", ""),),
    ),
    Entry(
        name="one_head_per_group",
        verdict="not_written",
        what="Writes one query head of each group.",
        diagnosis="never written",
        base="honest/by_table.py",
        edits=(
            Edit(
                "tl.store(out_ptr + rows_out[:, None] * HEAD_DIM + offs_d[None, :], acc.to(out_ptr.dtype.element_ty), mask=mask_g[:, None])",
                "tl.store(out_ptr + rows_out[:, None] * HEAD_DIM + offs_d[None, :], acc.to(out_ptr.dtype.element_ty), mask=(offs_g < 1)[:, None])",
            ),
        ),
    ),
    Entry(
        name="torch_dequantises",
        verdict="refused",
        what="Decodes with torch before the launch.",
        diagnosis="the work is to be done by your own kernels",
        base="honest/by_table.py",
        edits=(
            Edit(
                "group = num_heads_q // num_heads_kv",
                """
                group = num_heads_q // num_heads_kv
                low, high = key_codes & 15, key_codes >> 4
                key_codes = low | high << 4
                """,
            ),
        ),
    ),
    Entry(
        name="acc_not_rescaled",
        verdict="wrong_answer",
        what="Forgets to rescale acc.",
        diagnosis="whose acc is not rescaled",
        base="honest/by_table.py",
        edits=(
            Edit(
                "acc = acc * alpha[:, None] + tl.dot(probs.to(query.dtype), value.to(query.dtype))",
                "acc = acc + tl.dot(probs.to(query.dtype), value.to(query.dtype))",
            ),
        ),
    ),
    Entry(
        name="block_of_32",
        verdict="wrong_answer",
        what="Takes a block for 32 channels.",
        diagnosis="a block is 16 channels",
        base="honest/even_and_odd.py",
        edits=(
            Edit(
                "scales = tl.load(scales_ptr + rows[:, None] * stride_scales + offs_block[None, :], mask=mask_n[:, None], other=0)",
                "scales = tl.load(scales_ptr + rows[:, None] * stride_scales + (offs_block // 2 * 2)[None, :], mask=mask_n[:, None], other=0)",
            ),
        ),
    ),
    Entry(
        name="block_scale_as_number",
        verdict="wrong_answer",
        what="Uses the scale codes as numbers.",
        diagnosis="numbers 0 to 255",
        base="honest/even_and_odd.py",
        edits=(
            Edit(
                "scales = tl.broadcast_to(e4m3(scales)[:, :, None], (BLOCK_N, BLOCKS, 8))",
                "scales = tl.broadcast_to(scales.to(tl.float16)[:, :, None], (BLOCK_N, BLOCKS, 8))",
            ),
        ),
    ),
    Entry(
        name="block_scale_shifted",
        verdict="wrong_answer",
        what="Block b has the scale of block b + 1.",
        diagnosis="neighbouring block",
        base="honest/even_and_odd.py",
        edits=(
            Edit(
                "scales = tl.load(scales_ptr + rows[:, None] * stride_scales + offs_block[None, :], mask=mask_n[:, None], other=0)",
                "scales = tl.load(scales_ptr + rows[:, None] * stride_scales + ((offs_block + 1) % BLOCKS)[None, :], mask=mask_n[:, None], other=0)",
            ),
        ),
    ),
    Entry(
        name="codes_as_magnitudes",
        verdict="wrong_answer",
        what="Uses the lower three bits as a number.",
        diagnosis="used as a number with a sign",
        base="honest/even_and_odd.py",
        edits=(
            Edit(
                """
                # sign to bit 15, the other three bits to bits 9 .. 11: an fp16 whose exponent bias is 14 too large
                sign = (nibbles & 8).to(tl.uint16) << 12
                magnitude = (nibbles & 7).to(tl.uint16) << 9
                return (sign | magnitude).to(tl.float16, bitcast=True) * 16384.0
                """,
                """
                number = (nibbles & 7).to(tl.float16)
                return tl.where((nibbles & 8) != 0, -number, number)
                """,
            ),
        ),
    ),
    Entry(
        name="codes_as_numbers",
        verdict="wrong_answer",
        what="Uses the codes as numbers.",
        diagnosis="used as numbers",
        base="honest/even_and_odd.py",
        edits=(
            Edit(
                """
                # sign to bit 15, the other three bits to bits 9 .. 11: an fp16 whose exponent bias is 14 too large
                sign = (nibbles & 8).to(tl.uint16) << 12
                magnitude = (nibbles & 7).to(tl.uint16) << 9
                return (sign | magnitude).to(tl.float16, bitcast=True) * 16384.0
                """,
                "return nibbles.to(tl.float16)",
            ),
        ),
    ),
    Entry(
        name="codes_as_signed_numbers",
        verdict="wrong_answer",
        what="Uses the codes as signed numbers (two's complement).",
        diagnosis="used as signed numbers",
        base="honest/even_and_odd.py",
        edits=(
            Edit(
                """
                # sign to bit 15, the other three bits to bits 9 .. 11: an fp16 whose exponent bias is 14 too large
                sign = (nibbles & 8).to(tl.uint16) << 12
                magnitude = (nibbles & 7).to(tl.uint16) << 9
                return (sign | magnitude).to(tl.float16, bitcast=True) * 16384.0
                """,
                """
                number = nibbles.to(tl.int32)
                return tl.where(number >= 8, number - 16, number).to(tl.float16)
                """,
            ),
        ),
    ),
    Entry(
        name="exponent_bias",
        verdict="wrong_answer",
        what="Multiplies by 2^15 in the place of 2^14.",
        diagnosis="twice as large",
        base="honest/even_and_odd.py",
        edits=(
            Edit(
                "return (sign | magnitude).to(tl.float16, bitcast=True) * 16384.0",
                "return (sign | magnitude).to(tl.float16, bitcast=True) * 32768.0",
            ),
        ),
    ),
    Entry(
        name="first_block_scale",
        verdict="wrong_answer",
        what="Uses the first block's scale for the whole row.",
        diagnosis="the row's first block",
        base="honest/even_and_odd.py",
        edits=(
            Edit(
                "scales = tl.load(scales_ptr + rows[:, None] * stride_scales + offs_block[None, :], mask=mask_n[:, None], other=0)",
                "scales = tl.load(scales_ptr + rows[:, None] * stride_scales + (0 * offs_block)[None, :], mask=mask_n[:, None], other=0)",
            ),
        ),
    ),
    Entry(
        name="globals_missing",
        verdict="wrong_answer",
        what="Forgets both global scales.",
        diagnosis="without either global scale",
        base="honest/even_and_odd.py",
        edits=(
            Edit("scores = scores * key_global * softmax_scale", "scores = scores * softmax_scale"),
            Edit("scale = value_global / l_i[:, None]", "scale = 1.0 / l_i[:, None]"),
        ),
    ),
    Entry(
        name="globals_swapped",
        verdict="wrong_answer",
        what="Exchanges the global scales.",
        diagnosis="key_global and value_global exchanged",
        base="honest/by_table.py",
        edits=(
            Edit(
                """
                key_global = tl.load(key_global_ptr)
                value_global = tl.load(value_global_ptr)
                """,
                """
                key_global = tl.load(value_global_ptr)
                value_global = tl.load(key_global_ptr)
                """,
            ),
        ),
    ),
    Entry(
        name="half_lost",
        verdict="wrong_answer",
        what="Codes with exponent bits 0 become 0.",
        diagnosis="Code 0001 must be 0.5",
        base="honest/by_formula.py",
        edits=(
            Edit(
                """
                normal = (1.0 + mantissa / 2.0) * tl.exp2(exponent - 1.0)
                return (sign * tl.where(exponent == 0.0, mantissa / 2.0, normal)).to(tl.float16)
                """,
                """
                value = tl.where(exponent == 0.0, 0.0, (1.0 + mantissa / 2.0) * tl.exp2(exponent - 1.0))
                return (sign * value).to(tl.float16)
                """,
            ),
        ),
    ),
    Entry(
        name="half_with_one",
        verdict="wrong_answer",
        what="The formula of normal codes for code 0001.",
        diagnosis="Code 0001 must be 0.5",
        base="honest/by_formula.py",
        edits=(
            Edit(
                """
                normal = (1.0 + mantissa / 2.0) * tl.exp2(exponent - 1.0)
                return (sign * tl.where(exponent == 0.0, mantissa / 2.0, normal)).to(tl.float16)
                """,
                """
                value = tl.where(exponent + mantissa == 0.0, 0.0, (1.0 + mantissa / 2.0) * tl.exp2(exponent - 1.0))
                return (sign * value).to(tl.float16)
                """,
            ),
        ),
    ),
    Entry(
        name="halves_not_pairs",
        verdict="wrong_answer",
        what="Puts the low nibbles in front and the high nibbles behind.",
        diagnosis="first half of the channels",
        base="honest/by_table.py",
        edits=(
            Edit(
                "values = e2m1(tl.reshape(tl.join(codes & 15, codes >> 4), [BLOCK_N, HEAD_DIM]))",
                "values = e2m1(tl.reshape(tl.trans(tl.join(codes & 15, codes >> 4), 0, 2, 1), [BLOCK_N, HEAD_DIM]))",
            ),
        ),
    ),
    Entry(
        name="head_modulo",
        verdict="wrong_answer",
        what="Query head h reads cache head h % num_heads_kv.",
        diagnosis="it is h // group_size",
        base="honest/even_and_odd.py",
        edits=(Edit("heads_q = head * GROUP + offs_g", "heads_q = offs_g * num_heads_kv + head"),),
    ),
    Entry(
        name="key_global_for_value",
        verdict="wrong_answer",
        what="Applies K's global to V.",
        diagnosis="key_global applied to value",
        base="honest/even_and_odd.py",
        edits=(Edit("scale = value_global / l_i[:, None]", "scale = key_global / l_i[:, None]"),),
    ),
    Entry(
        name="key_global_missing",
        verdict="wrong_answer",
        what="Forgets key_global.",
        diagnosis="without key_global",
        base="honest/even_and_odd.py",
        edits=(Edit("scores = scores * key_global * softmax_scale", "scores = scores * softmax_scale"),),
    ),
    Entry(
        name="kv_len_ignored",
        verdict="wrong_answer",
        what="Runs over the whole cache.",
        diagnosis="kv_len is ignored",
        base="honest/even_and_odd.py",
        edits=(Edit("kv_len = tl.load(kv_len_ptr + batch)", "kv_len = seqlen_kv"),),
    ),
    Entry(
        name="last_key_dropped",
        verdict="wrong_answer",
        what="Ends one key early.",
        diagnosis="The last key takes no part",
        base="honest/even_and_odd.py",
        edits=(Edit("mask_n = rows < kv_len", "mask_n = rows < kv_len - 1"),),
    ),
    Entry(
        name="nibble_order",
        verdict="wrong_answer",
        what="Takes the high nibble for the even channel.",
        diagnosis="the even channel is in the low four bits",
        base="honest/even_and_odd.py",
        edits=(
            Edit(
                "return e2m1(codes & 15) * scales, e2m1(codes >> 4) * scales",
                "return e2m1(codes >> 4) * scales, e2m1(codes & 15) * scales",
            ),
        ),
    ),
    Entry(
        name="no_block_scale",
        verdict="wrong_answer",
        what="Forgets the block scales.",
        diagnosis="without the block scales",
        base="honest/even_and_odd.py",
        edits=(
            Edit("return e2m1(codes & 15) * scales, e2m1(codes >> 4) * scales", "return e2m1(codes & 15), e2m1(codes >> 4)"),
        ),
    ),
    Entry(
        name="padding_takes_part",
        verdict="wrong_answer",
        what="The last tile's padding keeps its score of 0.",
        diagnosis="padding of the last tile takes part",
        base="honest/even_and_odd.py",
        edits=(Edit('scores = tl.where(mask_n[None, :], scores, -float("inf"))', ""),),
    ),
    Entry(
        name="scale_bias",
        verdict="wrong_answer",
        what="Forgets that E4M3's bias is not fp16's.",
        diagnosis="exponent bias",
        base="honest/by_table.py",
        edits=(
            Edit(
                "return (codes.to(tl.uint16) << 7).to(tl.float16, bitcast=True).to(tl.float32) * 256.0",
                "return (codes.to(tl.uint16) << 7).to(tl.float16, bitcast=True).to(tl.float32)",
            ),
        ),
    ),
    Entry(
        name="scale_from_head_dim",
        verdict="wrong_answer",
        what="Uses 1/√head_dim.",
        diagnosis="softmax_scale is not used",
        base="honest/by_table.py",
        edits=(
            Edit(
                """
                *value_codes.stride()[:3], *value_scales.stride()[:3],
                num_heads_kv, seqlen_kv, softmax_scale,
                """,
                """
                *value_codes.stride()[:3], *value_scales.stride()[:3],
                num_heads_kv, seqlen_kv, head_dim**-0.5,
                """,
            ),
        ),
    ),
    Entry(
        name="scale_mantissa_dropped",
        verdict="wrong_answer",
        what="Uses the exponent of the scales alone.",
        diagnosis="mantissa of the block scales is dropped",
        base="honest/by_table.py",
        edits=(
            Edit(
                "return (codes.to(tl.uint16) << 7).to(tl.float16, bitcast=True).to(tl.float32) * 256.0",
                "return tl.exp2(((codes >> 3) & 15).to(tl.float32) - 7.0)",
            ),
        ),
    ),
    Entry(
        name="scales_interleaved",
        verdict="wrong_answer",
        what="Gives channel d the scale d % (head_dim / 16).",
        diagnosis="d % (head_dim / 16)",
        base="honest/by_table.py",
        edits=(
            Edit(
                "spread = tl.broadcast_to(e4m3(scales)[:, :, None], [BLOCK_N, HEAD_DIM // 16, 16])",
                "spread = tl.broadcast_to(e4m3(scales)[:, None, :], [BLOCK_N, 16, HEAD_DIM // 16])",
            ),
        ),
    ),
    Entry(
        name="sign_ignored",
        verdict="wrong_answer",
        what="Forgets the sign bit.",
        diagnosis="sign bit (8)",
        base="honest/even_and_odd.py",
        edits=(
            Edit(
                "return (sign | magnitude).to(tl.float16, bitcast=True) * 16384.0",
                "return magnitude.to(tl.float16, bitcast=True) * 16384.0",
            ),
        ),
    ),
    Entry(
        name="strides_assumed",
        verdict="wrong_answer",
        what="Takes the codes for contiguous.",
        diagnosis="key_codes and value_codes have gaps between their rows",
        base="honest/even_and_odd.py",
        edits=(
            Edit(
                "*key_codes.stride()[:3], *key_scales.stride()[:3], *value_codes.stride()[:3], *value_scales.stride()[:3],",
                """
                *[step * head_dim // 2 for step in (num_heads_kv * seqlen_kv, seqlen_kv, 1)], *key_scales.stride()[:3],
                *[step * head_dim // 2 for step in (num_heads_kv * seqlen_kv, seqlen_kv, 1)], *value_scales.stride()[:3],
                """,
            ),
        ),
    ),
    Entry(
        name="value_global_missing",
        verdict="wrong_answer",
        what="Forgets value_global.",
        diagnosis="without value_global",
        base="honest/even_and_odd.py",
        edits=(Edit("scale = value_global / l_i[:, None]", "scale = 1.0 / l_i[:, None]"),),
    ),
)
