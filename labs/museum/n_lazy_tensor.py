"""Promise now, compute when looked at

Trick: hand back an object that computes only when the checker, after the clock has stopped, reads it.
Seen: lazy tensor subclasses with overridden methods (NVIDIA SOL-ExecBench's samples; GPU MODE reference-kernels, pull request 161).
Answer: nothing is returned: out is memory of the judge's, and what is not in it when the call ends is not there.
Verdict: not_written
"""

import torch
import triton
import triton.language as tl



class Lazy(torch.Tensor):
    pass


def softmax(x, out):
    out.__class__ = Lazy
    return out.as_subclass(Lazy)
