"""Lab 8: write two kernels and their launcher. The signature of decode is fixed;
everything else is yours.
"""

import torch
import triton
import triton.language as tl


@triton.jit
def split_kernel(
    query_ptr, key_ptr, value_ptr, kv_len_ptr, partial_out_ptr, partial_lse_ptr
):
    """One program = one split of the keys of one cache head."""
    # 1. Which keys are mine? From start to end; the last split may be shorter, or
    #    empty.
    # 2. The loop of lab 7 over these keys alone.
    # 3. Store this split's output and its lse. What is the lse of a split without keys?


@triton.jit
def merge_kernel(partial_out_ptr, partial_lse_ptr, out_ptr):
    """One program = one row of out, from all its splits."""
    # weight of a split = exp(lse - the largest lse)


def decode(query, key, value, kv_len, out, softmax_scale):
    """The decode of lab 7; here there are few sequences, and the keys of each are
    shared out over many programs.
    """
    batch, num_heads_q, head_dim = query.shape
    num_heads_kv, seqlen_kv = key.shape[1], key.shape[2]
    # Choose num_kv_splits from the shapes, so that the whole GPU has work. Then scratch
    # for what the splits hand over:
    # torch.empty((batch * num_heads_q, num_kv_splits, head_dim), dtype=torch.float32,
    # device=query.device)
    # Launch split_kernel, then merge_kernel.
