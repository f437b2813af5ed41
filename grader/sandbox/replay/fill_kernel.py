"""A kernel of ours that fills device memory with a pattern, as PyTorch does on a GPU: by a launch, not by the driver's memset.

A recorded fill is one of the things a call is timed with. In a graph a memset node costs more than the kernel that
`torch.zeros` launches, so a replay by memset would make a submission with fills look slower than it is. The driver compiles
the PTX, for any GPU there is.
"""

from __future__ import annotations

import functools

from grader.sandbox.replay.cuda_driver import Function, Parameters, Shape, Stream

THREADS = 256
STRETCH_BYTES = 16  # what a thread writes, at a multiple of it
PATTERN_BYTES = 8  # the longest pattern, a double or a 64-bit integer
NAME = "fill"

# Thread i has the 16 bytes at (address rounded down to 16) + 16 i. It writes them as two words where all lie within
# [address, address + size), else one by one those that do. `pattern` is the 8 bytes at any address divisible by 8.
PTX = """
.version 7.0
.target sm_70
.address_size 64

.visible .entry fill(.param .u64 address, .param .u64 size, .param .u64 pattern)
{
    .reg .pred %before, %after, %part, %last;
    .reg .b32 %block, %threads, %thread, %shift;
    .reg .b64 %begin, %end, %pattern, %index, %here, %next, %value;

    ld.param.u64 %begin, [address];
    ld.param.u64 %end, [size];
    ld.param.u64 %pattern, [pattern];
    add.u64 %end, %begin, %end;

    mov.u32 %block, %ctaid.x;
    mov.u32 %threads, %ntid.x;
    mov.u32 %thread, %tid.x;
    cvt.u64.u32 %index, %thread;
    mad.wide.u32 %index, %block, %threads, %index;
    shl.b64 %index, %index, 4;
    and.b64 %here, %begin, -16;
    add.u64 %here, %here, %index;
    add.u64 %next, %here, 16;

    setp.lt.u64 %before, %here, %begin;
    setp.gt.u64 %after, %next, %end;
    or.pred %part, %before, %after;
    @%part bra bytes;
    st.global.v2.u64 [%here], {%pattern, %pattern};
    ret;

bytes:
    max.u64 %here, %here, %begin;
    min.u64 %next, %next, %end;
byte:
    setp.ge.u64 %last, %here, %next;
    @%last ret;
    cvt.u32.u64 %shift, %here;
    and.b32 %shift, %shift, 7;
    shl.b32 %shift, %shift, 3;
    shr.u64 %value, %pattern, %shift;
    st.global.u8 [%here], %value;
    add.u64 %here, %here, 1;
    bra byte;
}
"""


def fill(stream: Stream, address: int, size: int, pattern: bytes) -> None:
    """Repeat `pattern` (a divisor of 8 bytes) over the `size` bytes at `address`.

    Raises:
        DriverError: the kernel could not be compiled or launched.
    """
    stretches = -(-(address % STRETCH_BYTES + size) // STRETCH_BYTES)
    shape = Shape(grid=(-(-stretches // THREADS), 1, 1), threads=THREADS, shared_bytes=0)
    parameters = (address.to_bytes(8, "little"), size.to_bytes(8, "little"), word_of(pattern, address))
    loaded().launch(stream, shape, Parameters(parameters))


def word_of(pattern: bytes, address: int) -> bytes:
    """The 8 bytes at an address divisible by 8, where `pattern` begins at `address`."""
    return bytes(pattern[(place - address) % len(pattern)] for place in range(PATTERN_BYTES))


@functools.cache
def loaded() -> Function:
    """The kernel in this process's context, compiled at the first call.

    Raises:
        DriverError: the driver cannot compile it.
    """
    return Function(PTX.encode() + b"\0", NAME, shared_bytes=0, cluster=1)
