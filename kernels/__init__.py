"""The chapter's reference kernels in Triton, and the eager reference they are held to.

Read in the order of the chapter:

    reference.py         every function in eager float64: what is right
    roof.py              copy: how fast memory is
    scores.py            query . key^T for one query
    softmax.py           naive, safe and online softmax of rows
    softmax_cluster.py   rows too long for one program's registers, on Hopper
    float32.py           float32 products and sums that err no more than PyTorch's
    attention_naive.py   attention with the scores in memory
    flash_attention.py   attention without them
    decode.py            one query over a long cache, in one launch
    quantize.py          FP8 and NVFP4: the formats, and tensors in and out of them
    decode_fp8.py        decoding over an FP8 cache
    decode_nvfp4.py      decoding over a 4-bit cache
    decode_paged.py      decoding over a cache in pages
    dispatch.py          which kernel and which block sizes run on which device, and why

``python -m kernels.bench`` measures them beside their rivals; ``python -m kernels.tune`` finds the choices of dispatch.py
again. Each kernel is imported from its own module: importing this package loads nothing.
"""
