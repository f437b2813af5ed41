"""The place in a program's shared memory where the other programs of its cluster tell it what they found.

What is written there counts itself in at a barrier (``st.async``), so no thread waits for its own writes, and nothing passes
through memory. The hardware starts the programs of a cluster together on neighbouring multiprocessors, so none can wait for one
that is not there.

Source: NVIDIA, "PTX ISA", sections "mapa", "st.async", "mbarrier" and "barrier.cluster"
(https://docs.nvidia.com/cuda/parallel-thread-execution/).
"""

import functools

HEADER_BYTES = 16  # the barrier, before what it counts


@functools.cache
def prepare(room: int, expected: int) -> str:
    """PTX: make the place, with ``room`` bytes of which ``expected`` will be written, and say so; its address out ($0).

    Nobody may write into a program whose barrier is not set up: the others wait (``barrier.cluster.wait``) just before they
    write. Each warp does it once, and so is $1 one number a warp.
    """
    return f"""{{
        .shared .align 16 .b8 exchange[{HEADER_BYTES + room}];
        .reg .pred first;
        .reg .b32 thread, barrier;
        .reg .b64 state;
        mov.u32 thread, %tid.x;
        mov.u32 barrier, exchange;
        setp.eq.u32 first, thread, 0;
        @first mbarrier.init.shared::cta.b64 [barrier], 1;
        @first fence.mbarrier_init.release.cluster;
        @first mbarrier.arrive.expect_tx.shared::cta.b64 state, [barrier], {expected};
        barrier.cluster.arrive.relaxed.aligned;
        mov.u32 $0, barrier; // of warp $1
    }}"""
