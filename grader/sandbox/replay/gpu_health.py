"""Is the GPU well? A process of its own, which writes a pattern to device memory and reads it back.

Run after every abnormal end of a replayer, before anything else may use the GPU. Exit code 0: well.
"""

from __future__ import annotations

import ctypes
import subprocess
import sys

from grader.sandbox.replay import cuda_driver

SIZE = 8 << 20
TIME_LIMIT_S = 10.0


def probe() -> None:
    """Write, synchronise, read back.

    Raises:
        DriverError: the driver refused.
        RuntimeError: what was read is not what was written.
    """
    context = cuda_driver.Context()
    address = cuda_driver.allocate(SIZE)
    stream = cuda_driver.Stream()
    stream.fill(address, SIZE, b"\x5a\xa5\x3c\xc3")
    stream.synchronize()
    host = (ctypes.c_ubyte * SIZE)()
    cuda_driver.call("cuMemcpyDtoH_v2", host, ctypes.c_uint64(address), ctypes.c_size_t(SIZE))
    context.synchronize()
    if bytes(host) != b"\x5a\xa5\x3c\xc3" * (SIZE // 4):
        raise RuntimeError("device memory does not hold what was written to it")
    cuda_driver.free(address)


def gpu_is_well(time_limit_s: float = TIME_LIMIT_S) -> bool:
    """Run the probe in a fresh process; False where it fails or does not end in time."""
    command = [sys.executable, "-m", "grader.sandbox.replay.gpu_health"]
    try:
        return subprocess.run(command, timeout=time_limit_s, capture_output=True).returncode == 0
    except subprocess.TimeoutExpired:
        return False


if __name__ == "__main__":
    probe()
