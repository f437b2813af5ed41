"""Lab 10: your decode over a cache of 4-bit codes. The signature of decode is fixed; everything else is yours."""

import torch
import triton
import triton.language as tl


@triton.jit
def e2m1(codes):
    """4-bit codes, sign ee m, to floats: the magnitudes are 0, 0.5, 1, 1.5, 2, 3, 4, 6."""


@triton.jit
def decode_kernel(
    query_ptr,
    key_codes_ptr,
    key_scales_ptr,
    key_global_ptr,
    value_codes_ptr,
    value_scales_ptr,
    value_global_ptr,
    kv_len_ptr,
    out_ptr,
):
    """One program = one sequence and one cache head, as in lab 7."""
    # 1. Load [BLOCK_N, head_dim / 2] bytes: two channels each. Load [BLOCK_N, head_dim / 16] scales, E4M3 as in lab 9.
    # 2. Nibbles to channels (tl.join and tl.reshape, or even and odd channels apart), scales to 16 channels each.
    # 3. The loop of lab 7. Where is the cheapest place for key_global and value_global?


def decode(query, key_codes, key_scales, key_global, value_codes, value_scales, value_global, kv_len, out, softmax_scale):
    """The decode of lab 7 with a value = e2m1(code) * e4m3(scale of its 16 channels) * global."""
    batch, num_heads_q, head_dim = query.shape
    num_heads_kv, seqlen_kv = key_codes.shape[1], key_codes.shape[2]
    group_size = num_heads_q // num_heads_kv
    # Choose a grid and launch; codes and scales have strides of their own.
