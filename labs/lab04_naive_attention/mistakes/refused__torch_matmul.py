"""Lets the library multiply.

Diagnosis: torch
"""

import torch
import triton
import triton.language as tl


def attention(query, key, value, out, softmax_scale):
    scores = torch.matmul(query, key.transpose(-1, -2)) * softmax_scale
    out.copy_(torch.softmax(scores, dim=-1) @ value)
