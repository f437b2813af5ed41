"""Every kernel compiles without a GPU for every one it may meet, at the shapes it is used at, and keeps to its registers."""

import itertools
import re
from unittest import mock

import pytest
import torch
from ahead_of_time import DEVICES, SHARED_MEMORY_LIMIT, compile_launches

from kernels import dispatch
from kernels.attention_naive import attention_naive
from kernels.decode import decode_attention
from kernels.decode_fp8 import decode_attention_fp8
from kernels.decode_nvfp4 import decode_attention_nvfp4
from kernels.decode_paged import decode_attention_paged
from kernels.flash_attention import flash_attention
from kernels.flash_attention_backward import flash_attention_backward
from kernels.flash_attention_fp8 import flash_attention_fp8, transposed
from kernels.roof import copy
from kernels.scores import scores
from kernels.softmax import softmax_naive, softmax_online, softmax_safe

pytestmark = pytest.mark.process

CAPABILITIES = [75, 80, 86, 89, 90, 120]


def of(*shape, dtype=torch.float16):
    return torch.empty(*shape, dtype=dtype, device="cuda")


def rows():
    x = of(64, 4096, dtype=torch.float32)
    copy(x)
    scores(of(128), of(4096, 128), softmax_scale=1.0)
    softmax_naive(x)
    softmax_safe(x)
    for cols in (16384, 40000, 50257, 131008, 131072, 262144, 1 << 20):
        softmax_online(of(64, cols, dtype=torch.float32))


def prefill(head_dim):
    query, cache = of(1, 8, 4096, head_dim), of(1, 2, 4096, head_dim)
    flash_attention(query, cache, cache, causal=True)
    if head_dim == 64:
        attention_naive(query, cache, cache)


def backward(head_dim):
    for dtype in (torch.float16, torch.float32):
        query, lse = of(1, 8, 4096, head_dim, dtype=dtype), of(1, 8, 4096, dtype=torch.float32)
        for num_heads_kv in (8, 2):
            cache = of(1, num_heads_kv, 4096, head_dim, dtype=dtype)
            flash_attention_backward(query, cache, cache, query, lse, query, dlse=lse, causal=True)


def decode(head_dim):
    query, kv_len = of(4, 32, head_dim), of(4, dtype=torch.int32)
    cache = of(4, 8, 65536, head_dim)
    codes, nibbles, scales = (of(4, 8, 65536, width, dtype=torch.uint8) for width in (head_dim, head_dim // 2, head_dim // 16))
    scale, one = of(8, dtype=torch.float32), of(1, dtype=torch.float32)
    nvfp4 = (nibbles, scales, one)
    pages = of(512, 8, 64, head_dim)
    decode_attention(query, cache, cache, kv_len, check_kv_len=False)
    decode_attention_fp8(query, codes, codes, scale, scale, kv_len, check_kv_len=False)
    decode_attention_nvfp4(query, *nvfp4, *nvfp4, kv_len, check_kv_len=False)
    decode_attention_paged(query, pages, pages, of(4, 1024, dtype=torch.int32), kv_len, check_kv_len=False)


@pytest.mark.slow
@pytest.mark.parametrize("capability", CAPABILITIES)
@pytest.mark.parametrize(
    "uses",
    [
        pytest.param(rows, id="rows"),
        pytest.param(lambda: prefill(64), id="prefill_64"),
        pytest.param(lambda: prefill(128), id="prefill_128"),
        pytest.param(lambda: backward(64), id="backward_64"),
        pytest.param(lambda: backward(128), id="backward_128"),
        pytest.param(lambda: decode(128), id="decode_128"),
    ],
)
def test_compiles_without_spills(uses, capability):
    compiled = compile_launches(uses, capability)

    assert compiled
    for binary in compiled:
        assert binary.spill_bytes == 0, f"{binary.kernel} spills {binary.spill_bytes} bytes on sm_{capability}"
        assert binary.shared_bytes <= SHARED_MEMORY_LIMIT[capability], f"{binary.kernel} needs {binary.shared_bytes} bytes"


def prefill_fp8(head_dim, *, causal):
    query, cache = (of(1, heads, 4096, head_dim, dtype=torch.uint8) for heads in (8, 2))
    scales = of(8, dtype=torch.float32), of(2, dtype=torch.float32), of(2, dtype=torch.float32)
    flash_attention_fp8(query, cache, cache, *scales, causal=causal)


@pytest.mark.slow
@pytest.mark.parametrize("head_dim", [32, 64, 128])
@pytest.mark.parametrize("capability", [89, 90, 120])
def test_fp8_prefill_compiles_without_spills(capability, head_dim):
    transpose, attend = compile_launches(lambda: prefill_fp8(head_dim, causal=True), capability)
    (plainly,) = compile_launches(lambda: transposed(of(1, 2, 4096, head_dim, dtype=torch.uint8)), capability)

    for_hopper = capability == 90 and head_dim > 32
    assert attend.kernel == ("_flash_attention_hopper_kernel" if for_hopper else "_flash_attention_fp8_kernel")
    assert transpose.spill_bytes == plainly.spill_bytes == attend.spill_bytes == 0
    assert attend.shared_bytes <= SHARED_MEMORY_LIMIT[capability]


@pytest.mark.slow
def test_one_key_in_fp8_is_no_constant_for_the_compiler():
    """Else all columns but the first are one value, and of a word of four probabilities ptxas 12.8 leaves two unwritten."""

    def one_key():
        cache, scale = of(1, 2, 1, 128, dtype=torch.uint8), of(2, dtype=torch.float32)
        flash_attention_fp8(of(1, 2, 255, 128, dtype=torch.uint8), cache, cache, scale, scale, scale)

    _, attend = compile_launches(one_key, 90)

    assert attend.kernel == "_flash_attention_hopper_kernel"
    assert attend.spill_bytes == 0
    assert "e4m3x2.f32 b" in attend.asm["ptx"]
    assert not re.search(r"e4m3x2\.f32 b, (%\w+), \1;", attend.asm["ptx"])


@pytest.mark.slow
@pytest.mark.parametrize(("seqlen_kv", "stages_bytes"), [(4096, 4 * 32768), (4000, 2 * 32768)])
def test_three_consumers_share_fp8_where_no_tile_is_masked(seqlen_kv, stages_bytes):
    def full():
        cache, scale = of(1, 2, seqlen_kv, 128, dtype=torch.uint8), of(2, dtype=torch.float32)
        flash_attention_fp8(of(1, 2, 4096, 128, dtype=torch.uint8), cache, cache, scale, scale, scale)

    _, attend = compile_launches(full, 90)

    assert attend.spill_bytes == 0
    assert stages_bytes < attend.shared_bytes < 2 * stages_bytes


@pytest.mark.slow
@pytest.mark.parametrize("causal", [False, True], ids=["full", "causal"])
def test_probabilities_in_fp8_go_from_product_to_product_in_place(causal):
    _, attend = compile_launches(lambda: prefill_fp8(128, causal=causal), 90)

    # two instructions for four probabilities, and none that takes words apart or trades them between threads
    assert "e4m3.e4m3" in attend.asm["ptx"] and "prmt" not in attend.asm["ptx"]


@pytest.mark.parametrize("capability", [75, 80, 86])
def test_fp8_prefill_is_refused_where_no_matrix_unit_takes_it(capability):
    with pytest.raises(ValueError, match="whose matrix unit takes no FP8: it needs compute capability 8.9"):
        compile_launches(lambda: prefill_fp8(128, causal=False), capability)


def decode_many(kind):
    """Of 256 caches: more than four a multiprocessor on an L4."""
    query, kv_len = of(32, 32, 128, dtype=torch.bfloat16), of(32, dtype=torch.int32)
    if kind == "fp8":
        codes, scale = of(32, 8, 16384, 128, dtype=torch.uint8), of(8, dtype=torch.float32)
        decode_attention_fp8(query, codes, codes, scale, scale, kv_len, check_kv_len=False)
    elif kind == "nvfp4":
        codes, scales = (of(32, 8, 16384, width, dtype=torch.uint8) for width in (64, 8))
        cache = (codes, scales, of(1, dtype=torch.float32))
        decode_attention_nvfp4(query, *cache, *cache, kv_len, check_kv_len=False)
    elif kind == "half":
        cache = of(32, 8, 16384, 128, dtype=torch.bfloat16)
        decode_attention(query, cache, cache, kv_len, check_kv_len=False)
    else:
        pages = of(8192, 8, 64, 128, dtype=torch.bfloat16)
        decode_attention_paged(query, pages, pages, of(32, 256, dtype=torch.int32), kv_len, check_kv_len=False)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["fp8", "nvfp4", "paged"])
def test_hopper_decodes_by_its_own_kernel_and_only_loads(kind):
    (binary,) = compile_launches(lambda: decode_many(kind), 90)

    assert binary.kernel == "_decode_hopper_kernel"
    assert binary.spill_bytes == 0
    # 16 bytes at once, and straight into registers
    assert "ld.global.v4" in binary.asm["ptx"] and "cp.async" not in binary.asm["ptx"]


def decode_few(kind, seqlen):
    """Of 8 caches."""
    query, kv_len = of(1, 32, 128, dtype=torch.bfloat16), of(1, dtype=torch.int32)
    if kind == "half":
        cache = of(1, 8, seqlen, 128, dtype=torch.bfloat16)
        decode_attention(query, cache, cache, kv_len, check_kv_len=False)
    elif kind == "fp8":
        codes, scale = of(1, 8, seqlen, 128, dtype=torch.uint8), of(8, dtype=torch.float32)
        decode_attention_fp8(query, codes, codes, scale, scale, kv_len, check_kv_len=False)
    else:
        codes, scales = (of(1, 8, seqlen, width, dtype=torch.uint8) for width in (64, 8))
        cache = (codes, scales, of(1, dtype=torch.float32))
        decode_attention_nvfp4(query, *cache, *cache, kv_len, check_kv_len=False)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "seqlen"), [("half", 1000), ("half", 2048), ("fp8", 2048), ("nvfp4", 4096)])
def test_few_short_caches_are_shared_in_a_cluster_and_merged_without_memory(kind, seqlen):
    (binary,) = compile_launches(lambda: decode_few(kind, seqlen), 90)

    assert binary.kernel == "_decode_hopper_kernel"
    assert binary.spill_bytes == 0
    assert "st.async" in binary.asm["ptx"] and "atom." not in binary.asm["ptx"]


@pytest.mark.parametrize("kind", ["half", "fp8", "nvfp4"])
def test_a_cluster_holds_its_cache_and_none_waits_for_another(kind):
    with mock.patch.object(dispatch, "device_of", lambda _: DEVICES[90]):
        for pairs, seqlen in itertools.product((1, 8, 16, 17, 64), (1, 1000, 1025, 2048, 4096, 4097)):
            plan = dispatch.hopper_decode_plan.__wrapped__(torch.device("cuda"), kind, pairs, seqlen)
            if plan and plan.cluster > 1:
                assert seqlen <= plan.cluster * plan.num_warps * plan.tokens and plan.num_kv_splits == 1
                assert pairs * plan.cluster * plan.num_warps <= 4 * DEVICES[90].num_sms
                assert pairs <= 16 and seqlen <= 4096


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "seqlen"), [("half", 2049), ("fp8", 4097)])
def test_longer_caches_are_split(kind, seqlen):
    (binary,) = compile_launches(lambda: decode_few(kind, seqlen), 90)

    assert binary.kernel == ("_decode_kernel" if kind == "half" else "_decode_fp8_kernel")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["fp8", "nvfp4", "paged", "half"])
def test_other_gpus_decode_by_triton_and_have_room(kind):
    (binary,) = compile_launches(lambda: decode_many(kind), 89)

    assert binary.kernel == ("_decode_kernel" if kind == "half" else f"_decode_{kind}_kernel")
    assert binary.spill_bytes == 0
    assert binary.shared_bytes <= SHARED_MEMORY_LIMIT[89]


@pytest.mark.slow
def test_hopper_gets_its_own_kernel():
    names = [binary.kernel for binary in compile_launches(lambda: prefill(128), 90)]

    assert names == ["_flash_attention_hopper_kernel"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cols", "kernel"),
    [
        (65536, "_softmax_cluster_kernel"),
        (65537, "_online_kernel"),
        (150_000, "_online_kernel"),
        (200_000, "_softmax_cluster_kernel"),
    ],
)
def test_hopper_shares_long_aligned_rows_in_a_cluster(cols, kernel):
    names = [binary.kernel for binary in compile_launches(lambda: softmax_online(of(64, cols)), 90)]

    assert names == [kernel]


@pytest.mark.slow
@pytest.mark.parametrize(("cols", "threads"), [(131072, 512), (131000, 512), (65536, 512), (262144, 256)])
def test_a_cluster_tells_its_maxima_without_a_fence_and_two_share_a_multiprocessor(cols, threads):
    (binary,) = compile_launches(lambda: softmax_online(of(64, cols, dtype=torch.float32)), 90)

    assert 2 * threads * binary.registers <= 65536
    assert binary.spill_bytes == 0
    assert "st.async" in binary.asm["ptx"]
    # neither waits a thread for what it wrote, nor a warp for its program
    assert "arrive.release" not in binary.asm["ptx"] and "bar.sync" not in binary.asm["ptx"]
