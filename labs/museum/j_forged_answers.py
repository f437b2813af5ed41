"""Answer before being asked

Trick: write the protocol's own messages, or a verdict, to every descriptor that is open, and leave.
Seen: forged result objects and verdicts on inherited pipes (GPU MODE pygpubench's exploits).
Answer: a worker's messages carry no verdict. The judge reads out, finds its own fill in it, and the run ends there.
Verdict: not_written crashed
"""

import torch
import triton
import triton.language as tl



import json
import os
import struct


def softmax(x, out):
    done = dict(kind="done", loaded_bytes=0, stored_bytes=0, atomic_bytes=0, masked_bytes=0, scratch_bytes=0)
    for message in [done, {"passed": True, "points": 100}] * 20:
        body = json.dumps(message).encode()
        os.write(4, struct.pack("<I", len(body)) + body)
    print('{"passed": true, "points": 100}', flush=True)
    os._exit(0)
