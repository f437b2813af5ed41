"""Bad arguments are refused before anything is launched: a ValueError names the argument, the rule and the value."""

import pytest
import torch

from kernels.attention_naive import attention_naive
from kernels.decode import decode_attention
from kernels.decode_fp8 import decode_attention_fp8
from kernels.decode_nvfp4 import decode_attention_nvfp4
from kernels.decode_paged import decode_attention_paged
from kernels.dispatch import BackwardPlan, BackwardTiles
from kernels.flash_attention import flash_attention
from kernels.flash_attention_backward import flash_attention_backward
from kernels.flash_attention_fp8 import flash_attention_fp8
from kernels.roof import copy
from kernels.scores import scores
from kernels.softmax import softmax_online, softmax_safe


@pytest.fixture
def half(device):
    return lambda *shape: torch.zeros(*shape, dtype=torch.float16, device=device)


@pytest.fixture
def codes(device):
    return lambda *shape: torch.zeros(*shape, dtype=torch.uint8, device=device)


@pytest.fixture
def lengths(device):
    return lambda *values: torch.tensor(values, dtype=torch.int32, device=device)


@pytest.mark.parametrize("attention", [flash_attention, attention_naive])
def test_attention_refuses(attention, half):
    query, cache = half(1, 4, 5, 64), half(1, 2, 7, 64)
    for arguments, sentence in [
        ((query[0], cache, cache), r"query has shape \[4, 5, 64\] and must have 4 dimensions"),
        ((query, half(1, 3, 7, 64), half(1, 3, 7, 64)), "num_heads_q=4 must be a multiple of num_heads_kv=3"),
        ((query, cache, half(1, 2, 8, 64)), r"value has shape \[1, 2, 8, 64\] and must have \[1, 2, 7, 64\]"),
        ((query, half(2, 2, 7, 64), half(2, 2, 7, 64)), r"key has shape \[2, 2, 7, 64\] and must have \[1, 2, 7, 64\]"),
        ((query[..., :48], cache[..., :48], cache[..., :48]), "head_dim=48 must be one of 16, 32, 64, 128"),
        ((query, cache.float(), cache), "key has dtype torch.float32 and must have torch.float16, which query has"),
        ((query.double(), cache, cache), "query has dtype torch.float64 and must have one of: float16, bfloat16, float32"),
        ((query, cache.transpose(2, 3), cache), "key has stride 64 in its last axis and must have 1"),
    ]:
        with pytest.raises(ValueError, match=sentence):
            attention(*arguments)
    for scale in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=f"softmax_scale={scale} must be positive and finite"):
            attention(query, cache, cache, softmax_scale=scale)
    with pytest.raises(ValueError, match="value is on meta and must be on .*, where query is"):
        attention(query, cache, cache.to("meta"))


def test_attention_fp8_refuses(codes, device):
    query, cache = codes(1, 4, 5, 64), codes(1, 2, 7, 64)
    four, two = torch.ones(4, device=device), torch.ones(2, device=device)
    for arguments, sentence in [
        ((query.int(), cache, cache, four, two, two), "query has dtype torch.int32 and must have one of: uint8"),
        ((query, cache, cache, four.half(), two, two), "query_scale has dtype torch.float16 and must have one of: float32"),
        ((query, cache, cache, two, two, two), r"query_scale has shape \[2\] and must have \[4\]"),
        ((query, cache, cache, four, two, four), r"value_scale has shape \[4\] and must have \[2\]"),
        ((query, codes(1, 3, 7, 64), codes(1, 3, 7, 64), four, two, two), "num_heads_q=4 must be a multiple of"),
        ((query, cache, codes(1, 2, 8, 64), four, two, two), r"value has shape \[1, 2, 8, 64\] and must have"),
        ((query[..., :16], cache[..., :16], cache[..., :16], four, two, two), "head_dim=16 must be one of 32, 64, 128"),
        ((query, cache.transpose(2, 3), cache, four, two, two), "key has stride 64 in its last axis and must have 1"),
    ]:
        with pytest.raises(ValueError, match=sentence):
            flash_attention_fp8(*arguments)
    with pytest.raises(ValueError, match="dtype=torch.float32 must be torch.float16 or torch.bfloat16"):
        flash_attention_fp8(query, cache, cache, four, two, two, dtype=torch.float32)


@pytest.mark.parametrize("block", [8, 48])
def test_flash_attention_refuses_tiles_that_are_no_power_of_two(half, block):
    query = half(1, 1, 5, 64)
    with pytest.raises(ValueError, match=f"block_m={block} must be a power of two and at least 16"):
        flash_attention(query, query, query, block_m=block)


def test_backward_refuses(device, half):
    query, cache, lse = half(1, 4, 5, 64), half(1, 2, 7, 64), torch.zeros(1, 4, 5, device=device)
    for arguments, sentence in [
        ((query, half(1, 3, 7, 64), half(1, 3, 7, 64), query, lse, query), "num_heads_q=4 must be a multiple of"),
        ((query, cache, cache, query[:, :, :4], lse, query), r"out has shape \[1, 4, 4, 64\] and must have \[1, 4, 5, 64\]"),
        (
            (query, cache, cache, query.transpose(1, 2).contiguous().transpose(1, 2), lse, query),
            "out has strides .* contiguous",
        ),
        ((query, cache, cache, query, lse.half(), query), "lse has dtype torch.float16 and must have one of: float32"),
        ((query, cache, cache, query, lse[..., 0], query), r"lse has shape \[1, 4\] and must have \[1, 4, 5\]"),
        ((query, cache, cache, query, lse, query.float()), "dout has dtype torch.float32 and must have torch.float16"),
        ((query, cache, cache, query, lse, half(1, 4, 5, 1).expand(1, 4, 5, 64)), "dout has stride 0 in its last axis"),
    ]:
        with pytest.raises(ValueError, match=sentence):
            flash_attention_backward(*arguments)
    with pytest.raises(ValueError, match=r"dlse has shape \[1, 4, 4\] and must have \[1, 4, 5\]"):
        flash_attention_backward(query, cache, cache, query, lse, query, dlse=lse[..., :4])
    tiles = [BackwardTiles(block_m=block_m, block_n=32, num_warps=4, num_stages=1) for block_m in (32, 64)]
    with pytest.raises(ValueError, match="block_m=32 of the first kernel must be a multiple of block_m=64 of the second"):
        flash_attention_backward(query, cache, cache, query, lse, query, plan=BackwardPlan(queries=tiles[0], keys=tiles[1]))


def test_decode_refuses(half, lengths):
    query, cache, kv_len = half(2, 4, 64), half(2, 2, 7, 64), lengths(7, 0)
    for arguments, sentence in [
        ((query, cache, cache, lengths(7, -1)), "kv_len holds -1 and must not be negative"),
        ((query, cache, cache, lengths(8, 0)), "kv_len holds 8 and must not exceed the cache's 7 tokens"),
        ((query, cache, cache, lengths(7)), r"kv_len has shape \[1\] and must have \[2\]"),
        ((query, cache, cache, kv_len.long()), "kv_len has dtype torch.int64 and must have torch.int32"),
        ((query[:, :3], cache, cache, kv_len), "num_heads_q=3 must be a multiple of num_heads_kv=2"),
        ((query, cache, cache[:, :, :6], kv_len), r"value has shape \[2, 2, 6, 64\] and must have \[2, 2, 7, 64\]"),
        ((query.float(), cache, cache, kv_len), "query has dtype torch.float32 and must have one of: float16, bfloat16"),
    ]:
        with pytest.raises(ValueError, match=sentence):
            decode_attention(*arguments)


def test_decode_without_a_look_at_kv_len_clamps_it(half, lengths):
    query, cache = half(2, 4, 64), half(2, 2, 7, 64) + 1

    out, _ = decode_attention(query, cache, cache, lengths(9, -3), check_kv_len=False)

    assert torch.all(out[0] == 1)
    assert torch.all(out[1] == 0)


def test_fp8_refuses(device, half, codes, lengths):
    query, cache, kv_len = half(1, 4, 64), codes(1, 2, 7, 64), lengths(7)
    scale = torch.ones(2, device=device)
    for arguments, sentence in [
        ((query, cache.view(torch.int8), cache.view(torch.int8), scale, scale, kv_len), "key has dtype torch.int8 .* uint8"),
        ((query, cache, cache, scale, scale[:1], kv_len), r"value_scale has shape \[1\] and must have \[2\]: \[num_heads_kv\]"),
        ((query, cache, cache, scale.half(), scale, kv_len), "key_scale has dtype torch.float16 and must have one of: float32"),
        ((query[..., :16], cache[..., :16], cache[..., :16], scale, scale, kv_len), "head_dim=16 must be one of 32, 64, 128"),
        ((query, codes(1, 2, 7, 65)[..., :64], cache, scale, scale, kv_len), "key has strides .* in multiples of 2 bytes"),
        ((query, cache, cache, scale, scale, lengths(8)), "kv_len holds 8"),
    ]:
        with pytest.raises(ValueError, match=sentence):
            decode_attention_fp8(*arguments)


def test_nvfp4_refuses(device, half, codes, lengths):
    query, cache, scales, kv_len = half(1, 4, 64), codes(1, 2, 7, 32), codes(1, 2, 7, 4), lengths(7)
    one = torch.ones(1, device=device)
    for arguments, sentence in [
        (
            (query, codes(1, 2, 7, 64), scales, one, cache, scales, one, kv_len),
            r"key_codes has shape .* must have \[1, 2, 7, 32\]",
        ),
        (
            (query, cache, codes(1, 2, 7, 2), one, cache, scales, one, kv_len),
            r"key_scales has shape .* must have \[1, 2, 7, 4\]",
        ),
        (
            (query, cache, scales, one, cache, scales, one.repeat(2), kv_len),
            r"value_global has shape \[2\] and must have \[1\]",
        ),
        (
            (query[..., :32], cache[..., :16], scales[..., :2], one, cache[..., :16], scales[..., :2], one, kv_len),
            "head_dim=32",
        ),
    ]:
        with pytest.raises(ValueError, match=sentence):
            decode_attention_nvfp4(*arguments)


def test_paged_refuses(half, lengths):
    query, cache, table = half(1, 4, 64), half(3, 2, 16, 64), lengths(0, 2)[None]
    for arguments, sentence in [
        ((query, half(3, 2, 24, 64), half(3, 2, 24, 64), table, lengths(7)), "page_size=24 must be one of 16, 32, 64, 128"),
        ((query, cache, cache, lengths(0, 3)[None], lengths(17)), "page_table holds 3 and must hold pages from 0 to 2"),
        ((query, cache, cache, lengths(0, -1)[None], lengths(17)), "page_table holds -1 and must hold pages from 0 to 2"),
        ((query, cache, cache, table, lengths(33)), "kv_len holds 33 and must not exceed the cache's 32 tokens"),
        ((query, cache, cache, table.long(), lengths(7)), "page_table has dtype torch.int64 and must have one of: int32"),
    ]:
        with pytest.raises(ValueError, match=sentence):
            decode_attention_paged(*arguments)


def test_rows_refuse(half):
    x = half(2, 8)
    for call, sentence in [
        (lambda: softmax_online(x[0]), r"x has shape \[8\] and must have 2 dimensions"),
        (lambda: softmax_online(x, out=half(2, 7)), r"out has shape \[2, 7\] and must have \[2, 8\]"),
        (lambda: softmax_online(x.T), "x has stride 8 in its last axis and must have 1"),
        (lambda: softmax_safe(half(1, 32769)), "cols=32769 must not exceed 32768"),
        (lambda: softmax_online(x.int()), "x has dtype torch.int32 and must have one of"),
        (lambda: copy(x.T), "x has strides .* and must be contiguous"),
        (lambda: copy(x, x.float()), "out has dtype torch.float32 and must have torch.float16, which x has"),
        (lambda: scores(x[0], half(3, 9), softmax_scale=1.0), "same head_dim, from 1 to 256; got 8 and 9"),
        (lambda: scores(half(300), half(3, 300), softmax_scale=1.0), "same head_dim, from 1 to 256; got 300 and 300"),
        (lambda: scores(x[0], x, softmax_scale=-1.0), "softmax_scale=-1.0 must be positive"),
    ]:
        with pytest.raises(ValueError, match=sentence):
            call()
