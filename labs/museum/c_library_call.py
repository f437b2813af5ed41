"""The library does the work

Trick: call the framework's own operator and copy its result.
Seen: the oldest trick of all; graders look for it by reading the source, and lose to aliases.
Answer: while the entry function runs, every torch operator is seen by name and refused; in a record it would leave no launch at all.
Verdict: refused
"""

import torch
import triton
import triton.language as tl



def softmax(x, out):
    out.copy_(getattr(torch, "soft" + "max")(x.float(), -1))
