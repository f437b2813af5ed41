"""Lab 7: write the kernel and its launcher. The signature of decode is fixed;
everything else is yours.
"""

import torch
import triton
import triton.language as tl


@triton.jit
def decode_kernel(query_ptr, key_ptr, value_ptr, kv_len_ptr, out_ptr):
    """Say here what one program does: which sequence, which heads, which keys."""
    # 1. Who am I: sequence and cache head from tl.program_id. How many keys:
    #    tl.load(kv_len_ptr + sequence).
    # 2. Load the queries of the group that shares this cache head.
    # 3. Walk over the keys in tiles, with a running maximum, sum and weighted values.
    # 4. Divide and store. A sequence without keys gets zeros.


def decode(query, key, value, kv_len, out, softmax_scale):
    """out[b, h] = softmax(query[b, h] · key[b, h // group_size, :kv_len[b]]ᵀ ·
    softmax_scale) · value[same].
    """
    batch, num_heads_q, head_dim = query.shape
    num_heads_kv, seqlen_kv = key.shape[1], key.shape[2]
    group_size = num_heads_q // num_heads_kv
    # Choose a grid and launch: decode_kernel[(…,)](query, key, value, kv_len, out, …)
    # Strides are arguments of the kernel too: query.stride(0), key.stride(1), …
