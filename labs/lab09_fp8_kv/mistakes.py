"""The mistakes to recognise in decoding over an FP8 cache, each an edit of a right answer."""

from labs.mistake import Edit, Entry

MISTAKES = (
    Entry(
        name="e5m2",
        verdict="not_finite",
        what="Moves the byte into the upper half of an fp16: that is E5M2.",
        diagnosis="decoded as E5M2",
        base="honest/bit_arithmetic.py",
        edits=(
            Edit(
                "return (sign | magnitude).to(tl.float16, bitcast=True) * 256.0",
                "return (codes.to(tl.uint16) << 8).to(tl.float16, bitcast=True)",
            ),
        ),
    ),
    Entry(
        name="max_not_subtracted",
        verdict="not_finite",
        what="exp of the bare scores.",
        diagnosis="subtract the row's maximum first",
        base="honest/bit_arithmetic.py",
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
        name="no_keys",
        verdict="not_finite",
        what="0 / 0 for a sequence without keys.",
        diagnosis="with kv_len = 0",
        base="honest/bit_arithmetic.py",
        edits=(Edit("l_i = tl.where(l_i == 0.0, 1.0, l_i)", ""),),
    ),
    Entry(
        name="one_head_per_group",
        verdict="not_written",
        what="Stores the first head of each group only.",
        diagnosis="never written",
        base="honest/bit_arithmetic.py",
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
        what="Lets PyTorch decode the cache.",
        diagnosis="copies a tensor outside your kernels",
        base="honest/bit_arithmetic.py",
        edits=(
            Edit(
                "num_heads_kv, seqlen_kv = key.shape[1], key.shape[2]",
                """
                num_heads_kv, seqlen_kv = key.shape[1], key.shape[2]
                key = key.view(torch.float8_e4m3fn).to(torch.float16)
                """,
            ),
        ),
    ),
    Entry(
        name="codes_as_numbers",
        verdict="wrong_answer",
        what="Uses the bytes as numbers.",
        diagnosis="they are codes",
        base="honest/bit_arithmetic.py",
        edits=(Edit("return (sign | magnitude).to(tl.float16, bitcast=True) * 256.0", "return codes.to(tl.float16)"),),
    ),
    Entry(
        name="divided_by_scale",
        verdict="wrong_answer",
        what="Divides by the scales.",
        diagnosis="divided by their scale",
        base="honest/bit_arithmetic.py",
        edits=(
            Edit(
                "scores = tl.dot(query, tl.trans(e4m3(key).to(query.dtype))) * key_scale * softmax_scale",
                "scores = tl.dot(query, tl.trans(e4m3(key).to(query.dtype))) / key_scale * softmax_scale",
            ),
            Edit("acc = acc * value_scale / l_i[:, None]", "acc = acc / value_scale / l_i[:, None]"),
        ),
    ),
    Entry(
        name="exponent_bias",
        verdict="wrong_answer",
        what="Forgets the factor 2^8 between the two biases.",
        diagnosis="exponent bias",
        base="honest/bit_arithmetic.py",
        edits=(
            Edit(
                "return (sign | magnitude).to(tl.float16, bitcast=True) * 256.0",
                "return (sign | magnitude).to(tl.float16, bitcast=True)",
            ),
        ),
    ),
    Entry(
        name="first_scale",
        verdict="wrong_answer",
        what="Takes the scale of head 0 for all.",
        diagnosis="the scale of head 0",
        base="honest/bit_arithmetic.py",
        edits=(
            Edit(
                """
                key_scale = tl.load(key_scale_ptr + head)
                value_scale = tl.load(value_scale_ptr + head)
                """,
                """
                key_scale = tl.load(key_scale_ptr)
                value_scale = tl.load(value_scale_ptr)
                """,
            ),
        ),
    ),
    Entry(
        name="head_modulo",
        verdict="wrong_answer",
        what="Query head h reads cache head h % num_heads_kv.",
        diagnosis="it is h // group_size",
        base="honest/bit_arithmetic.py",
        edits=(Edit("heads_q = head * GROUP + offs_g", "heads_q = offs_g * num_heads_kv + head"),),
    ),
    Entry(
        name="key_scale_for_value",
        verdict="wrong_answer",
        what="Uses K's scale for V.",
        diagnosis="key_scale applied to value",
        base="honest/bit_arithmetic.py",
        edits=(Edit("value_scale = tl.load(value_scale_ptr + head)", "value_scale = tl.load(key_scale_ptr + head)"),),
    ),
    Entry(
        name="key_scale_missing",
        verdict="wrong_answer",
        what="Forgets key_scale.",
        diagnosis="without key_scale",
        base="honest/bit_arithmetic.py",
        edits=(
            Edit(
                "scores = tl.dot(query, tl.trans(e4m3(key).to(query.dtype))) * key_scale * softmax_scale",
                "scores = tl.dot(query, tl.trans(e4m3(key).to(query.dtype))) * softmax_scale",
            ),
        ),
    ),
    Entry(
        name="kv_len_ignored",
        verdict="wrong_answer",
        what="Runs over the whole cache.",
        diagnosis="kv_len is ignored",
        base="honest/bit_arithmetic.py",
        edits=(Edit("kv_len = tl.load(kv_len_ptr + batch)", "kv_len = seqlen_kv"),),
    ),
    Entry(
        name="last_key_dropped",
        verdict="wrong_answer",
        what="Ends one key early.",
        diagnosis="The last key takes no part",
        base="honest/bit_arithmetic.py",
        edits=(Edit("mask_n = rows < kv_len", "mask_n = rows < kv_len - 1"),),
    ),
    Entry(
        name="padding_takes_part",
        verdict="wrong_answer",
        what="The last tile's padding keeps its score of 0.",
        diagnosis="padding of the last tile takes part",
        base="honest/bit_arithmetic.py",
        edits=(Edit('scores = tl.where(mask_n[None, :], scores, -float("inf"))', ""),),
    ),
    Entry(
        name="scales_missing",
        verdict="wrong_answer",
        what="Forgets both scales.",
        diagnosis="without either scale",
        base="honest/bit_arithmetic.py",
        edits=(
            Edit(
                "scores = tl.dot(query, tl.trans(e4m3(key).to(query.dtype))) * key_scale * softmax_scale",
                "scores = tl.dot(query, tl.trans(e4m3(key).to(query.dtype))) * softmax_scale",
            ),
            Edit("acc = acc * value_scale / l_i[:, None]", "acc = acc / l_i[:, None]"),
        ),
    ),
    Entry(
        name="scales_swapped",
        verdict="wrong_answer",
        what="Exchanges the two scales.",
        diagnosis="key_scale and value_scale exchanged",
        base="honest/bit_arithmetic.py",
        edits=(
            Edit(
                "query, key, value, key_scale, value_scale, kv_len, out,",
                "query, key, value, value_scale, key_scale, kv_len, out,",
            ),
        ),
    ),
    Entry(
        name="sign_ignored",
        verdict="wrong_answer",
        what="Forgets the sign bit.",
        diagnosis="sign bit",
        base="honest/bit_arithmetic.py",
        edits=(
            Edit(
                "return (sign | magnitude).to(tl.float16, bitcast=True) * 256.0",
                "return magnitude.to(tl.float16, bitcast=True) * 256.0",
            ),
        ),
    ),
    Entry(
        name="signed_bytes",
        verdict="wrong_answer",
        what="Uses the bytes as signed numbers.",
        diagnosis="they are codes",
        base="honest/bit_arithmetic.py",
        edits=(
            Edit(
                "return (sign | magnitude).to(tl.float16, bitcast=True) * 256.0",
                "return codes.to(tl.int8, bitcast=True).to(tl.float16)",
            ),
        ),
    ),
    Entry(
        name="strides_assumed",
        verdict="wrong_answer",
        what="Takes the cache for contiguous.",
        diagnosis="key and value have gaps between their rows",
        base="honest/bit_arithmetic.py",
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
                "key = tl.load(key_ptr + rows[:, None] * stride_kn + offs_d[None, :], mask=mask_n[:, None], other=0)",
                "key = tl.load(key_ptr + rows[:, None] * HEAD_DIM + offs_d[None, :], mask=mask_n[:, None], other=0)",
            ),
            Edit(
                "value = tl.load(value_ptr + rows[:, None] * stride_vn + offs_d[None, :], mask=mask_n[:, None], other=0)",
                "value = tl.load(value_ptr + rows[:, None] * HEAD_DIM + offs_d[None, :], mask=mask_n[:, None], other=0)",
            ),
        ),
    ),
    Entry(
        name="subnormals_lost",
        verdict="wrong_answer",
        what="Subnormal codes become 0.",
        diagnosis="Subnormal codes",
        base="honest/by_formula.py",
        edits=(
            Edit(
                """
                normal = (1.0 + mantissa / 8.0) * tl.exp2(exponent - 7.0)
                subnormal = mantissa * 0.001953125
                return (sign * tl.where(exponent == 0.0, subnormal, normal)).to(tl.float16)
                """,
                "return (sign * (1.0 + mantissa / 8.0) * tl.where(exponent == 0.0, 0.0, tl.exp2(exponent - 7.0))).to(tl.float16)",
            ),
        ),
    ),
    Entry(
        name="subnormals_with_one",
        verdict="wrong_answer",
        what="The formula of normal codes for the subnormal ones as well.",
        diagnosis="get an implicit one",
        base="honest/by_formula.py",
        edits=(
            Edit(
                """
                normal = (1.0 + mantissa / 8.0) * tl.exp2(exponent - 7.0)
                subnormal = mantissa * 0.001953125
                return (sign * tl.where(exponent == 0.0, subnormal, normal)).to(tl.float16)
                """,
                "return (sign * (1.0 + mantissa / 8.0) * tl.exp2(exponent - 7.0)).to(tl.float16)",
            ),
        ),
    ),
    Entry(
        name="value_scale_missing",
        verdict="wrong_answer",
        what="Forgets value_scale.",
        diagnosis="without value_scale",
        base="honest/bit_arithmetic.py",
        edits=(Edit("acc = acc * value_scale / l_i[:, None]", "acc = acc / l_i[:, None]"),),
    ),
)
