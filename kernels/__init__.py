"""The chapter's reference kernels in Triton, and the eager reference they are held to.

Read in the order of the chapter:

    reference.py                 every function in eager float64: what is right
    roof.py                      copy: how fast memory is
    scores.py                    query . key^T for one query
    softmax.py                   naive, safe and online softmax of rows
    softmax_cluster.py           rows too long for one program's registers, on Hopper
    attention_naive.py           attention with the scores in memory
    flash_attention.py           attention without them
    flash_attention_hopper.py    the same on Hopper, overlapped by hand
    flash_attention_fp8.py       attention of FP8 tensors
    flash_attention_backward.py  its gradients
    attention_autograd.py        both as one operator that PyTorch trains with
    decode.py                    one query over a long cache, in one launch
    quantize.py                  FP8 and NVFP4: the formats, and tensors in and out of them
    decode_fp8.py                decoding over an FP8 cache
    decode_nvfp4.py              decoding over a 4-bit cache
    decode_paged.py              decoding over a cache in pages
    decode_hopper.py             the last three on Hopper, from memory straight to the matrix instruction; and short caches
    decode_hopper_operands.py    which number of a cache is whose part of an operand, and how it is unpacked

What they share, and who runs them:

    checks.py                    what every kernel asks of its arguments
    float32.py                   float32 products and sums that err no more than PyTorch's
    online_softmax.py            a tile of scores into the running maximum and sum
    split_kv.py                  a cache over several programs, and their merge (workspace: what every decode allocates)
    split_kv_hopper.py           the same merge in Gluon
    cluster.py                   where the programs of a cluster tell one another what they found
    decode_cluster.py            the same merge there
    dispatch.py                  which kernel and which block sizes run on which device, and why
    measure.py                   the time of a call
    rivals.py                    what the kernels are measured beside
    bench.py                     ``python -m kernels.bench``: all of them beside their rivals
    plots.py                     what it measured, drawn
    tune.py                      ``python -m kernels.tune``: the choices of dispatch.py, found again

Each kernel is imported from its own module: importing this package loads nothing.
"""
