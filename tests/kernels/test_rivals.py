"""Rivals that are not installed here, through stand-ins with the signatures of their documentation: all are handed the same
attention, FlashAttention-3 by the function for caches where there is one query, and one that is far too slow ends the bench.

What a stand-in cannot show: that the real one takes these arguments on a GPU.
"""

import sys
from types import ModuleType

import pytest
import torch
from torch.nn.attention import SDPBackend

from kernels import rivals
from kernels.reference import attention_backward_reference, attention_reference

pytestmark = pytest.mark.slow


class Decode:
    """docs.flashinfer.ai/api/attention.html: BatchDecodeWithPagedKVCacheWrapper."""

    def __init__(self, float_workspace_buffer, kv_layout="NHD", use_cuda_graph=False, use_tensor_cores=False):
        assert (float_workspace_buffer.dtype, kv_layout) == (torch.uint8, "HND")

    def plan(
        self, indptr, indices, last_page_len, num_qo_heads, num_kv_heads, head_dim, page_size,
        pos_encoding_mode="NONE", window_left=-1, logits_soft_cap=None, q_data_type="float16", kv_data_type=None,
    ):  # fmt: skip
        assert indptr.dtype == indices.dtype == last_page_len.dtype == torch.int32
        self.sequences = [indices[start:stop] for start, stop in zip(indptr[:-1], indptr[1:], strict=True)]
        self.last_page_len, self.shape = last_page_len, (num_kv_heads, page_size, head_dim)

    def run(self, q, paged_kv_cache):
        out = []
        for row, pages, last in zip(q, self.sequences, self.last_page_len, strict=True):
            assert all(cache.shape[1:] == self.shape for cache in paged_kv_cache)
            length = (len(pages) - 1) * self.shape[1] + last
            key, value = (cache[pages.long()].transpose(0, 1).flatten(1, 2)[:, :length] for cache in paged_kv_cache)
            out.append(attention_reference(row[None, :, None], key[None], value[None])[0][0, :, 0])
        return torch.stack(out).to(q.dtype)


class Prefill:
    """docs.flashinfer.ai/api/attention.html: BatchPrefillWithRaggedKVCacheWrapper."""

    def __init__(self, float_workspace_buffer, kv_layout="NHD", use_cuda_graph=False):
        assert (float_workspace_buffer.dtype, kv_layout) == (torch.uint8, "NHD")

    def plan(
        self, qo_indptr, kv_indptr, num_qo_heads, num_kv_heads, head_dim_qk, head_dim_vo=None, custom_mask=None,
        packed_custom_mask=None, causal=False, q_data_type="float16", kv_data_type=None,
    ):  # fmt: skip
        self.starts, self.causal = (qo_indptr.tolist(), kv_indptr.tolist()), causal

    def run(self, q, k, v):
        out = []
        for index in range(len(self.starts[0]) - 1):
            rows, keys = (slice(starts[index], starts[index + 1]) for starts in self.starts)
            one = [tensor.transpose(0, 1)[None] for tensor in (q[rows], k[keys], v[keys])]
            out.append(attention_reference(*one, causal=self.causal)[0][0].transpose(0, 1))
        return torch.cat(out).to(q.dtype)


@pytest.fixture
def flashinfer(monkeypatch):
    module = ModuleType("flashinfer")
    module.BatchDecodeWithPagedKVCacheWrapper = Decode
    module.BatchPrefillWithRaggedKVCacheWrapper = Prefill
    monkeypatch.setitem(sys.modules, "flashinfer", module)
    monkeypatch.setattr(rivals, "_runs", lambda function: function is not None)
    return module


def inputs(seqlen_q, seqlen_kv):
    generator = torch.Generator().manual_seed(4)
    shapes = ((2, 4, seqlen_q, 16), (2, 2, seqlen_kv, 16), (2, 2, seqlen_kv, 16))
    return [torch.randn(*shape, generator=generator) for shape in shapes]


@pytest.mark.parametrize("seqlen_q, seqlen_kv, causal", [(1, 192, False), (1, 96, False), (7, 7, True), (5, 9, False)])
def test_flashinfer_is_handed_the_same_attention(flashinfer, seqlen_q, seqlen_kv, causal):
    query, key, value = inputs(seqlen_q, seqlen_kv)

    out = rivals.attention_rivals(query, key, value, causal=causal, backends=())["FlashInfer"]()

    torch.testing.assert_close(out.double(), attention_reference(query, key, value, causal=causal)[0], atol=1e-6, rtol=1e-5)


def test_a_flashinfer_that_refuses_is_no_rival(flashinfer, monkeypatch):
    def refuse(*_, **__):
        raise RuntimeError("no such head_dim")

    monkeypatch.setattr(Decode, "plan", refuse)

    assert rivals.attention_rivals(*inputs(1, 64), causal=False, backends=()) == {}


def test_without_flashinfer_it_is_left_out(monkeypatch):
    monkeypatch.setitem(sys.modules, "flashinfer", None)

    assert rivals.attention_rivals(*inputs(1, 64), causal=False, backends=()) == {}


@pytest.fixture
def flash_attention_3(monkeypatch):
    """github.com/Dao-AILab/flash-attention, hopper/flash_attn_interface.py; what was called, by name of the function."""
    called = {}

    def of(name):
        def function(q, k, v, **extra):
            called[name] = extra
            rows = [tensor.transpose(1, 2) for tensor in (q, k, v)]
            return attention_reference(*rows, causal=extra["causal"])[0].transpose(1, 2).to(q.dtype)

        return function

    module = ModuleType("flash_attn_interface")
    module.flash_attn_func, module.flash_attn_with_kvcache = of("flash_attn_func"), of("flash_attn_with_kvcache")
    monkeypatch.setitem(sys.modules, "fa3_fwd_interface", None)
    monkeypatch.setitem(sys.modules, "flash_attn_interface", module)
    monkeypatch.setitem(sys.modules, "flashinfer", None)
    monkeypatch.setattr(rivals, "_runs", lambda function: True)
    return called


def test_flash_attention_3_over_a_cache_chooses_its_own_splits(flash_attention_3):
    query, key, value = inputs(1, 96)

    out = rivals.attention_rivals(query, key, value, causal=False, backends=())["FlashAttention-3"]()

    torch.testing.assert_close(out.double(), attention_reference(query, key, value)[0], atol=1e-6, rtol=1e-5)
    extra = flash_attention_3["flash_attn_with_kvcache"]
    assert extra["num_splits"] == 0
    assert extra["cache_seqlens"].tolist() == [96, 96]


def test_flash_attention_3_over_whole_sequences(flash_attention_3):
    query, key, value = inputs(7, 7)

    out = rivals.attention_rivals(query, key, value, causal=True, backends=())["FlashAttention-3"]()

    torch.testing.assert_close(out.double(), attention_reference(query, key, value, causal=True)[0], atol=1e-6, rtol=1e-5)
    assert flash_attention_3 == {"flash_attn_func": {"causal": True}}


def test_a_rival_far_below_what_is_published_of_it_ends_the_bench():
    rivals.require_as_published("FlashAttention-3", "decode", 900, 1796, "GB/s")
    with pytest.raises(SystemExit, match="FlashAttention-3 reached 391 GB/s on decode 1 x 65536, less than half of the 2570"):
        rivals.require_as_published("FlashAttention-3", "decode 1 x 65536", 391, 2570, "GB/s")


def test_rivals_of_the_gradients_compute_the_same(monkeypatch):
    monkeypatch.setattr(rivals, "BACKENDS", {name: SDPBackend.MATH for name in rivals.BACKENDS})
    monkeypatch.setattr(rivals, "_runs", lambda function: True)
    query, key, value = inputs(5, 5)
    dout = torch.ones_like(query)

    functions = rivals.backward_rivals(query, key, value, dout, causal=True)

    expected = attention_backward_reference(query, key, value, dout, causal=True)
    assert set(functions) == {"FlashAttention-2", "cuDNN"}
    for function in functions.values():
        for theirs, right in zip(function(), expected, strict=True):
            torch.testing.assert_close(theirs.double(), right, atol=1e-5, rtol=1e-5)
