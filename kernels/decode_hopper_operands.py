"""How a thread's own load becomes its own part of a matrix product: unpacking and layouts of ``decode_hopper``.

    scores^T = key @ query^T        key: 16 tokens of the instruction's rows, heads: its 8 columns
    out^T    = value^T @ probs^T

The matrix instruction (m16n8k16) gives each thread fixed places of its operands. The order of head_dim inside the first
product is free if query and key agree, and that of the tokens if probabilities and values agree. Both are chosen so that 16
neighbouring bytes of a key, and as many of a value, are what one thread needs: nothing goes through shared memory. Shapes:

    [WARPS, TOKENS, ...]    each warp has TOKENS tokens of its own (a batch axis of the product)
    words                   of 32 bits: two float16 or bfloat16 ("half"), four E4M3 ("fp8"), eight E2M1 ("nvfp4")

The values of a word go to 2 or 4 products ("half": 2, else 4), one for each place in a word or pair of places.
"""

from triton.experimental import gluon
from triton.experimental.gluon import language as gl
from triton.experimental.gluon.language.nvidia.ampere import mma_v2

# Eight E2M1 codes of {word} -> the high bytes of their float16, which are all of them: four in odd, four in even.
_BYTES = """
    shr.b32 t, {word}, 3;
    and.b32 t, t, 0x0E0E0E0E;
    lop3.b32 odd, {word}, 0x80808080, t, 0xEA;
    shl.b32 t, {word}, 1;
    and.b32 t, t, 0x0E0E0E0E;
    shl.b32 u, {word}, 4;
    lop3.b32 even, u, 0x80808080, t, 0xEA;
"""
# ... -> four words of two float16 each, 2^-14 of the values, times s: codes 0 and 4, 1 and 5, 2 and 6, 3 and 7
_HALVES = """
    prmt.b32 a, even, 0, 0x2404;
    prmt.b32 b, odd, 0, 0x2404;
    prmt.b32 c, even, 0, 0x3414;
    prmt.b32 d, odd, 0, 0x3414;
    mul.rn.f16x2 ${0}, a, s;
    mul.rn.f16x2 ${1}, b, s;
    mul.rn.f16x2 ${2}, c, s;
    mul.rn.f16x2 ${3}, d, s;
"""
KEY_WORD = gl.constexpr(
    "{ .reg .b32 odd, even, t, u, s, a, b, c, d; mov.b32 s, {$5, $5};"
    + _BYTES.format(word="$4") + _HALVES.format(0, 1, 2, 3) + "}"
)  # fmt: skip
VALUE_WORDS = gl.constexpr(
    "{ .reg .b32 odd, even, t, u, s, a, b, c, d, x, y; mov.b32 s, {$10, $11};"
    "prmt.b32 x, $8, $9, 0x5410; prmt.b32 y, $8, $9, 0x7632;"
    + _BYTES.format(word="x") + _HALVES.format(0, 1, 2, 3) + _BYTES.format(word="y") + _HALVES.format(4, 5, 6, 7) + "}"
)  # fmt: skip


# ---- unpacking


@gluon.jit
def _scaled_keys(words, scales):
    """Eight E2M1 codes of a word, times a float16 (its bits): four words of two float16, codes k and k + 4."""
    v0, v1, v2, v3 = gl.inline_asm_elementwise(
        KEY_WORD, "=&r,=&r,=&r,=&r,r,h", [words, scales],
        dtype=(gl.int32, gl.int32, gl.int32, gl.int32), is_pure=True, pack=1,
    )  # fmt: skip
    return v0, v1, v2, v3


@gluon.jit
def _scaled_values(one, other, scale_one, scale_other):
    """Eight E2M1 codes of each of two tokens, times their scales: words of the two tokens' float16, codes 0 to 7."""
    v0, v1, v2, v3, v4, v5, v6, v7 = gl.inline_asm_elementwise(
        VALUE_WORDS, "=&r,=&r,=&r,=&r,=&r,=&r,=&r,=&r,r,r,h,h", [one, other, scale_one, scale_other],
        dtype=(gl.int32, gl.int32, gl.int32, gl.int32, gl.int32, gl.int32, gl.int32, gl.int32), is_pure=True, pack=1,
    )  # fmt: skip
    return v0, v1, v2, v3, v4, v5, v6, v7


@gluon.jit
def _two_scales(codes):
    """Two E4M3 codes of an int16 -> a word of two float16, 2^7 of the values."""
    return gl.inline_asm_elementwise(
        "{ .reg .b32 t, f; mov.b32 f, 0x58005800; cvt.rn.f16x2.e4m3x2 t, $1; mul.rn.f16x2 $0, t, f; }",
        "=r,h", [codes], dtype=gl.int32, is_pure=True, pack=1,
    )  # fmt: skip


@gluon.jit
def _scales(codes):
    """E4M3 codes (never negative) -> float16 of 2^7 of the values."""
    return (codes.to(gl.float8e4nv, bitcast=True).to(gl.float16) * 128.0).to(gl.float16)


@gluon.jit
def _four_halves(codes):
    """Four E4M3 codes of a word -> two words of two float16 each."""
    low, high = gl.inline_asm_elementwise(
        """{
        .reg .b16 a, b;
        mov.b32 {a, b}, $2;
        cvt.rn.f16x2.e4m3x2 $0, a;
        cvt.rn.f16x2.e4m3x2 $1, b;
        }""",
        "=&r,=&r,r", [codes], dtype=(gl.int32, gl.int32), is_pure=True, pack=1,
    )  # fmt: skip
    return low, high


@gluon.jit
def _four_pairs(one, other):
    """Four E4M3 codes of each of two tokens -> four words, the two tokens' float16 side by side."""
    v0, v1, v2, v3 = gl.inline_asm_elementwise(
        """{
        .reg .b32 t, u; .reg .b16 a, b, c, d;
        prmt.b32 t, $4, $5, 0x5140;
        prmt.b32 u, $4, $5, 0x7362;
        mov.b32 {a, b}, t;
        mov.b32 {c, d}, u;
        cvt.rn.f16x2.e4m3x2 $0, a;
        cvt.rn.f16x2.e4m3x2 $1, b;
        cvt.rn.f16x2.e4m3x2 $2, c;
        cvt.rn.f16x2.e4m3x2 $3, d;
        }""",
        "=&r,=&r,=&r,=&r,r,r", [one, other], dtype=(gl.int32, gl.int32, gl.int32, gl.int32), is_pure=True, pack=1,
    )  # fmt: skip
    return v0, v1, v2, v3


@gluon.jit
def _two_pairs(one, other):
    """Two 16-bit numbers of each of two tokens -> two words, the two tokens' side by side."""
    low, high = gl.inline_asm_elementwise(
        "prmt.b32 $0, $2, $3, 0x5410; prmt.b32 $1, $2, $3, 0x7632;",
        "=&r,=&r,r,r", [one, other], dtype=(gl.int32, gl.int32), is_pure=True, pack=1,
    )  # fmt: skip
    return low, high


# ---- operands


@gluon.jit
def _halves(words, DTYPE: gl.constexpr):
    """Two 16-bit numbers of a word -> a last axis of two."""
    low = (words & 0xFFFF).to(gl.int16).to(DTYPE, bitcast=True)
    high = (words >> 16).to(gl.int16).to(DTYPE, bitcast=True)
    return gl.join(low, high)


@gluon.jit
def _key_operand(words, DTYPE: gl.constexpr, OPERAND: gl.constexpr):
    """[WARPS, TOKENS, c] words -> [WARPS, TOKENS, 2 c]: a thread's neighbours are its part of 16 columns, so nothing moves."""
    WARPS: gl.constexpr = words.shape[0]
    TOKENS: gl.constexpr = words.shape[1]
    COLS: gl.constexpr = 2 * words.shape[2]
    x = gl.reshape(_halves(words, DTYPE), [WARPS, TOKENS, COLS // 32, 4, 4, 2])
    return gl.convert_layout(gl.reshape(gl.permute(x, (0, 1, 2, 4, 3, 5)), [WARPS, TOKENS, COLS]), OPERAND)


@gluon.jit
def _value_operand(words, DTYPE: gl.constexpr, OPERAND: gl.constexpr):
    """[WARPS, TOKENS / 2, c] of two tokens' numbers -> [WARPS, c, TOKENS]; a thread has four of every 32 of c, 8 rows apart."""
    WARPS: gl.constexpr = words.shape[0]
    PAIRS: gl.constexpr = words.shape[1]
    COLS: gl.constexpr = words.shape[2]
    x = gl.permute(_halves(words, DTYPE), (0, 2, 1, 3))
    x = gl.permute(gl.reshape(x, [WARPS, COLS // 32, 8, 4, 2 * PAIRS]), (0, 1, 3, 2, 4))
    return gl.convert_layout(gl.reshape(x, [WARPS, COLS, 2 * PAIRS]), OPERAND)


@gluon.jit
def probs_operand(probs, DTYPE: gl.constexpr, OPERAND: gl.constexpr):
    """The probabilities as the second product wants them: each block of 8 tokens x 8 heads transposed within the warp."""
    WARPS: gl.constexpr = probs.shape[0]
    TOKENS: gl.constexpr = probs.shape[1]
    HEADS: gl.constexpr = probs.shape[2]
    turned = gl.inline_asm_elementwise(
        "movmatrix.sync.aligned.m8n8.trans.b16 $0, $1;", "=r,r", [probs.to(DTYPE).to(gl.int16, bitcast=True)],
        dtype=gl.int16, is_pure=True, pack=2,
    )  # fmt: skip
    # for the compiler [.., 8 a + i, j] now holds what was at [.., 8 a + j, i]: said, so that the conversion moves nothing
    turned = gl.reshape(turned.to(DTYPE, bitcast=True), [WARPS, TOKENS // 8, 8, HEADS // 8, 8])
    turned = gl.reshape(gl.permute(turned, (0, 1, 4, 3, 2)), [WARPS, TOKENS, HEADS])
    return gl.convert_layout(turned, OPERAND, assert_trivial=True)


@gluon.jit
def scores_of(
    key, key_scale, q0, q1, q2, q3, zeros, FORMAT: gl.constexpr, DTYPE: gl.constexpr, KEYS: gl.constexpr, OPERAND: gl.constexpr
):
    """[WARPS, TOKENS, HEADS] of a tile of key words; q0 .. q3: the query's columns for each product (``query_columns``)."""
    WARPS: gl.constexpr = key.shape[0]
    TOKENS: gl.constexpr = key.shape[1]
    WORDS: gl.constexpr = key.shape[2]
    if FORMAT == "nvfp4":
        scales = _halves(_two_scales(key_scale), gl.int16)  # [WARPS, TOKENS, 4, 2]
        scales = gl.reshape(scales, [WARPS, TOKENS, 4, 2, 1]).broadcast_to([WARPS, TOKENS, 4, 2, WORDS // 8])
        k0, k1, k2, k3 = _scaled_keys(key, gl.convert_layout(gl.reshape(scales, [WARPS, TOKENS, WORDS]), KEYS))
        scores = mma_v2(_key_operand(k0, DTYPE, OPERAND), q0, zeros)
        scores = mma_v2(_key_operand(k1, DTYPE, OPERAND), q1, scores)
        scores = mma_v2(_key_operand(k2, DTYPE, OPERAND), q2, scores)
        return mma_v2(_key_operand(k3, DTYPE, OPERAND), q3, scores)
    elif FORMAT == "fp8":  # noqa: RET505 - the compiler leaves out branches not taken, but only those of an if with an else
        low, high = _four_halves(key)
        scores = mma_v2(_key_operand(low, DTYPE, OPERAND), q0, zeros)
        return mma_v2(_key_operand(high, DTYPE, OPERAND), q1, scores)
    else:
        return mma_v2(_key_operand(key, DTYPE, OPERAND), q0, zeros)


@gluon.jit
def times_values(
    probs, one, other, scale_one, scale_other, a0, a1, a2, a3, FORMAT: gl.constexpr, DTYPE: gl.constexpr, OPERAND: gl.constexpr
):
    """Add a tile's values times probabilities to a0 .. a3. one, other: words of four tokens of every eight, and of the rest."""
    if FORMAT == "nvfp4":
        scale_one = _spread(scale_one, one)
        scale_other = _spread(scale_other, other)
        v0, v1, v2, v3, v4, v5, v6, v7 = _scaled_values(one, other, scale_one, scale_other)
        v0 = _neighbours(v0, v4)
        v1 = _neighbours(v1, v5)
        v2 = _neighbours(v2, v6)
        v3 = _neighbours(v3, v7)
    elif FORMAT == "fp8":
        v0, v1, v2, v3 = _four_pairs(one, other)
    else:
        v0, v1 = _two_pairs(one, other)
    a0 = mma_v2(_value_operand(v0, DTYPE, OPERAND), probs, a0)
    a1 = mma_v2(_value_operand(v1, DTYPE, OPERAND), probs, a1)
    if FORMAT != "half":
        a2 = mma_v2(_value_operand(v2, DTYPE, OPERAND), probs, a2)
        a3 = mma_v2(_value_operand(v3, DTYPE, OPERAND), probs, a3)
    return a0, a1, a2, a3


@gluon.jit
def _spread(scales, like):
    """Scales of 8 blocks a token -> the bits of one float16 for each word of ``like``."""
    SHAPE: gl.constexpr = like.shape
    x = gl.reshape(_scales(scales), [SHAPE[0], SHAPE[1], 8, 1]).broadcast_to([SHAPE[0], SHAPE[1], 8, SHAPE[2] // 8])
    return gl.convert_layout(gl.reshape(x, SHAPE), like.type.layout).to(gl.int16, bitcast=True)


@gluon.jit
def _neighbours(low, high):
    """[.., words] of the first four codes of each word and of its last four -> [.., 2 * words]"""
    return gl.reshape(gl.join(low, high), [low.shape[0], low.shape[1], 2 * low.shape[2]])


@gluon.jit
def query_columns(ptr, c, heads, mask, stride, FORMAT: gl.constexpr, PART: gl.constexpr):
    """The query's numbers that stand against row c of a key operand, in float32. c: [1, columns, 1], heads: [1, 1, HEADS]."""
    place = (c & -32) + ((c >> 1) & 3) * 8 + ((c >> 3) & 3) * 2 + (c & 1)
    if FORMAT == "nvfp4":
        place = place * 4 + PART
    elif FORMAT == "fp8":
        place = (place >> 1) * 4 + (place & 1) + 2 * PART
    return gl.load(ptr + heads * stride + place, mask=mask, other=0.0).to(gl.float32)


@gluon.jit
def in_order(a0, a1, a2, a3, FORMAT: gl.constexpr):
    """Sums of the products by place, each [programs, rows, HEADS] -> [programs, HEADS, HEAD_DIM]."""
    PLACES: gl.constexpr = 2 if FORMAT == "half" else 4
    CLUSTER: gl.constexpr = a0.shape[0]
    HEADS: gl.constexpr = a0.shape[2]
    HEAD_DIM: gl.constexpr = PLACES * a0.shape[1]
    if FORMAT == "half":
        together = gl.join(a0, a1)
    else:
        together = gl.join(gl.join(a0, a2), gl.join(a1, a3))  # .., high bit and low bit of the place
    together = gl.reshape(together, [CLUSTER, HEAD_DIM // PLACES // 32, 4, 8, HEADS, PLACES])
    return gl.reshape(gl.permute(together, (0, 4, 1, 3, 2, 5)), [CLUSTER, HEADS, HEAD_DIM])


# ---- which tokens a thread has


@gluon.jit
def _token(row):
    """The token in a row of the first product: so that four threads beside one another read four tokens beside one another."""
    return (row & -8) | ((row >> 1) & 3) | ((row & 1) << 2)


@gluon.jit
def key_tokens(WARPS: gl.constexpr, TOKENS: gl.constexpr, LAYOUT: gl.constexpr):
    """[WARPS, TOKENS]: the token of each row of keys, counted from the tile's first."""
    warp = gl.expand_dims(gl.arange(0, WARPS, gl.SliceLayout(1, LAYOUT)), 1)
    row = gl.expand_dims(gl.arange(0, TOKENS, gl.SliceLayout(0, LAYOUT)), 0)
    return warp * TOKENS + _token(row)


@gluon.jit
def value_tokens(WARPS: gl.constexpr, TOKENS: gl.constexpr, LAYOUT: gl.constexpr):
    """[WARPS, TOKENS / 2]: four tokens of every eight; the others are 4 further on."""
    warp = gl.expand_dims(gl.arange(0, WARPS, gl.SliceLayout(1, LAYOUT)), 1)
    row = gl.expand_dims(gl.arange(0, TOKENS // 2, gl.SliceLayout(0, LAYOUT)), 0)
    return warp * TOKENS + (row >> 2) * 8 + (row & 3)


@gluon.jit
def first_tokens(WARPS: gl.constexpr, SPAN: gl.constexpr, ROWS: gl.constexpr, LAYOUT: gl.constexpr):
    """[WARPS, ROWS]: the tokens of the first 8 rows of keys, or 4 of values; warps are SPAN tokens apart."""
    warp = gl.expand_dims(gl.arange(0, WARPS, gl.SliceLayout(1, LAYOUT)), 1)
    row = gl.expand_dims(gl.arange(0, ROWS, gl.SliceLayout(0, LAYOUT)), 0)
    if ROWS == 8:
        row = _token(row)
    return warp * SPAN + row


# ---- loads: one pointer a tensor, of the first rows; all other rows are constant distances from it


@gluon.jit
def _four(ptrs, STEP: gl.constexpr):
    """[.., 4]: what lies 0, 1, 2 and 3 steps on."""
    even = gl.join(gl.load(ptrs), gl.load(ptrs + 2 * STEP))
    odd = gl.join(gl.load(ptrs + STEP), gl.load(ptrs + 3 * STEP))
    return gl.reshape(gl.join(even, odd), [ptrs.shape[0], ptrs.shape[1], ptrs.shape[2], 4])


@gluon.jit
def _several(ptrs, STEP: gl.constexpr, COUNT: gl.constexpr):
    if COUNT == 4:
        return _four(ptrs, STEP)
    else:  # noqa: RET505
        both = gl.join(_four(ptrs, 2 * STEP), _four(ptrs + STEP, 2 * STEP))
        return gl.reshape(both, [ptrs.shape[0], ptrs.shape[1], ptrs.shape[2], 8])


@gluon.jit
def load_keys(ptrs, STRIDE: gl.constexpr, TOKENS: gl.constexpr, LAYOUT: gl.constexpr):
    """ptrs: [WARPS, 8, columns] -> [WARPS, TOKENS, columns]"""
    x = gl.permute(_several(ptrs, 8 * STRIDE, TOKENS // 8), (0, 3, 1, 2))
    return gl.convert_layout(gl.reshape(x, [ptrs.shape[0], TOKENS, ptrs.shape[2]]), LAYOUT)


@gluon.jit
def load_values(ptrs, STRIDE: gl.constexpr, TOKENS: gl.constexpr):
    """ptrs: [WARPS, 4, columns]. Four tokens of every eight -> [WARPS, TOKENS / 2, columns]"""
    x = gl.permute(_several(ptrs, 8 * STRIDE, TOKENS // 8), (0, 3, 1, 2))
    return gl.reshape(x, [ptrs.shape[0], TOKENS // 2, ptrs.shape[2]])


@gluon.jit
def columns(COLS: gl.constexpr, LAYOUT: gl.constexpr):
    """[1, 1, COLS]"""
    return gl.expand_dims(gl.expand_dims(gl.arange(0, COLS, gl.SliceLayout(0, gl.SliceLayout(0, LAYOUT))), 0), 0)


@gluon.constexpr_function
def _doubled(count, base):
    return [[step * number for number in base] for step in (1 << bit for bit in range(count.bit_length() - 1))]


@gluon.constexpr_function
def _value_layout(warps, cluster, words, tokens):
    """[warps, tokens, words], four tokens a thread's column: 16 bytes in a thread where a row has them."""
    run = min(words // 8, 4)
    registers = _doubled(run, [0, 0, 1]) + _doubled(words // (8 * run), [0, 0, 8 * run]) + _doubled(tokens // 4, [0, 4, 0])
    threads = [[0, 1, 0], [0, 2, 0], [0, 0, run], [0, 0, 2 * run], [0, 0, 4 * run]]
    parts = _doubled(warps, [1, 0, 0]), _doubled(cluster, [warps, 0, 0])
    return gl.DistributedLinearLayout(registers, threads, *parts, [warps * cluster, tokens, words])


@gluon.constexpr_function
def key_layout(warps, cluster, tokens, words):
    """[warps, tokens, words]: eight tokens beside one another, 16 bytes of each in each of four threads."""
    run = min(words // 4, 4)
    registers = _doubled(run, [0, 0, 1]) + _doubled(words // (4 * run), [0, 0, 4 * run]) + _doubled(tokens // 8, [0, 8, 0])
    threads = [[0, 0, run], [0, 0, 2 * run], [0, 1, 0], [0, 2, 0], [0, 4, 0]]
    parts = _doubled(warps, [1, 0, 0]), _doubled(cluster, [warps, 0, 0])
    return gl.DistributedLinearLayout(registers, threads, *parts, [warps * cluster, tokens, words])


@gluon.constexpr_function
def first_value_layout(warps, cluster, words):
    """Of pointers to the first four rows of values."""
    return _value_layout(warps, cluster, words, 4)


@gluon.constexpr_function
def value_layout(warps, cluster, tokens, words):
    """Of half the tokens' values, as ``load_values`` returns them."""
    return _value_layout(warps, cluster, words, tokens // 2)


@gluon.constexpr_function
def mma_layout(warps, cluster):
    return gl.NVMMADistributedLayout(
        version=[2, 0], warps_per_cta=[warps, 1, 1], instr_shape=[1, 16, 8], cga_layout=_doubled(cluster, [1, 0, 0])
    )


@gluon.constexpr_function
def merge_layout(warps, cluster, heads, head_dim):
    """[cluster, warps, heads, head_dim]: a thread has four columns of what all warps of its program found of a head."""
    alone = min(warps, heads)
    registers = _doubled(4, [0, 0, 0, 1]) + _doubled(warps, [0, 1, 0, 0]) + _doubled(heads // alone, [0, 0, alone, 0])
    threads = _doubled(head_dim // 4, [0, 0, 0, 4])
    by_warp = _doubled(alone, [0, 0, 1, 0]) + _doubled(warps // alone, [0, 0, 0, 0])
    shape = [cluster, warps, heads, head_dim]
    return gl.DistributedLinearLayout(registers, threads, by_warp, _doubled(cluster, [1, 0, 0, 0]), shape)


@gluon.constexpr_function
def shared_layout(cluster):
    """Of the place where a program's warps exchange what they found."""
    return gl.SwizzledSharedLayout(1, 1, 1, [3, 2, 1, 0], cga_layout=_doubled(cluster, [1, 0, 0, 0]))
