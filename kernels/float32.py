"""Float32 products and sums that err no more than a tree of sums does. Used by both prefill kernels, for float32 alone.

A float32 product runs without tensor cores, as one chain of multiply-adds for each element of the result: its rounding errors
grow with the length of the chain. PyTorch cuts long chains in pieces, and so do these.
"""

import triton
import triton.language as tl

CHAIN = tl.constexpr(16)  # multiply-adds in sequence


@triton.jit
def product_in_pieces(a, b, M: tl.constexpr, K: tl.constexpr, N: tl.constexpr):
    """[M, K] @ [K, N], as the sum of products of CHAIN columns and rows each."""
    PIECES: tl.constexpr = K // CHAIN
    if PIECES == 1:
        return tl.dot(a, b, input_precision="ieee")
    pieces_a = tl.permute(tl.reshape(a, [M, PIECES, CHAIN]), [1, 0, 2])
    return tl.sum(tl.dot(pieces_a, tl.reshape(b, [PIECES, CHAIN, N]), input_precision="ieee"), axis=0)


@triton.jit
def add_compensated(total, lost, term):
    """total + term, and what rounding took away: to be given back with the next term. ``lost`` starts at zero.

    Source: Kahan, "Further remarks on reducing truncation errors", 1965 (https://doi.org/10.1145/363707.363723).
    """
    term = term - lost
    new = total + term
    return new, (new - total) - term
