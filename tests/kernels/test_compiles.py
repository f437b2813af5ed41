"""Every kernel compiles without a GPU for every one it may meet, at the shapes it is used at, and keeps to its registers."""

import pytest
import torch
from ahead_of_time import SHARED_MEMORY_LIMIT, compile_launches

from kernels.attention_naive import attention_naive
from kernels.decode import decode_attention
from kernels.decode_fp8 import decode_attention_fp8
from kernels.decode_nvfp4 import decode_attention_nvfp4
from kernels.decode_paged import decode_attention_paged
from kernels.flash_attention import flash_attention
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
    for cols in (16384, 50257, 131072, 262144, 1 << 20):
        softmax_online(of(64, cols, dtype=torch.float32))


def prefill(head_dim):
    query, cache = of(1, 8, 4096, head_dim), of(1, 2, 4096, head_dim)
    flash_attention(query, cache, cache, causal=True)
    if head_dim == 64:
        attention_naive(query, cache, cache)


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
        pytest.param(lambda: decode(128), id="decode_128"),
    ],
)
def test_compiles_without_spills(uses, capability):
    compiled = compile_launches(uses, capability)

    assert compiled
    for binary in compiled:
        assert binary.spill_bytes == 0, f"{binary.kernel} spills {binary.spill_bytes} bytes on sm_{capability}"
        assert binary.shared_bytes <= SHARED_MEMORY_LIMIT[capability], f"{binary.kernel} needs {binary.shared_bytes} bytes"


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
