"""FlashInfer as a rival, through a stand-in with the signatures of its documentation: it is handed the same attention.

What the stand-in cannot show: that a real FlashInfer takes these arguments on a GPU.
"""

import sys
from types import ModuleType

import pytest
import torch

from kernels import rivals
from kernels.reference import attention_reference

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
