"""The calls of NVIDIA's driver that replaying a record needs, by ctypes: no CUDA toolkit, no torch, no Triton.

Every call is checked; a refusal is a `DriverError` with the driver's own name for it.

Source: NVIDIA, "CUDA Driver API" (https://docs.nvidia.com/cuda/cuda-driver-api/).
"""

from __future__ import annotations

import ctypes
import dataclasses
import functools
from collections.abc import Sequence

IPC_HANDLE_BYTES = 64
TENSOR_MAP_BYTES = 128
TENSOR_MAP_ALIGNMENT = 64
PARAMETER_BYTES = 256  # room for any parameter, so that a kernel which reads more than it was given finds zeros
MOST_PARAMETERS = 4096  # a kernel has 4 KiB of them; those that a record leaves out are zero
SHARED_WITHOUT_ASKING = 48 * 1024  # bytes a block has without raising the function's limit
ALLOCATION_BYTES = 2 << 20  # smaller allocations share one block of the driver's, and an IPC handle would lend the whole of it

_FUNC_MAX_DYNAMIC_SHARED = 8
_FUNC_NON_PORTABLE_CLUSTER = 14
_LIMIT_PERSISTING_L2 = 6
_EVENT_DEFAULT = 0
_STREAM_NON_BLOCKING = 1
_CAPTURE_THREAD_LOCAL = 1
_IPC_LAZY_PEER_ACCESS = 1
_ATTRIBUTE_L2_BYTES = 38
_LAUNCH_COOPERATIVE, _LAUNCH_CLUSTER, _LAUNCH_PDL = 2, 4, 6
_INTERLEAVE_NONE = 0
_L2_PROMOTION_128 = 2


class DriverError(Exception):
    """The driver refused a call."""

    def __init__(self, call: str, name: str) -> None:
        super().__init__(f"{call}: {name}")
        self.call = call
        self.name = name


@functools.cache
def _library() -> ctypes.CDLL:
    return ctypes.CDLL("libcuda.so.1")


def call(name: str, *arguments: object) -> None:
    """Call the driver's `name`.

    Raises:
        DriverError: it did not answer CUDA_SUCCESS.
    """
    code = getattr(_library(), name)(*arguments)
    if code:
        text = ctypes.c_char_p()
        _library().cuGetErrorName(code, ctypes.byref(text))
        raise DriverError(name, (text.value or b"CUDA_ERROR_%d" % code).decode())


def _call_where_supported(name: str, *arguments: object) -> None:
    """Call it; GPUs before sm_80 have no persisting lines, and say so."""
    try:
        call(name, *arguments)
    except DriverError as error:
        if error.name not in ("CUDA_ERROR_UNSUPPORTED_LIMIT", "CUDA_ERROR_NOT_SUPPORTED"):
            raise


class _LaunchAttribute(ctypes.Structure):
    """CUlaunchAttribute: an id, and 64 bytes of which the first few carry the value."""

    _fields_ = [("id", ctypes.c_int), ("pad", ctypes.c_int), ("value", ctypes.c_uint32 * 16)]


class _LaunchConfig(ctypes.Structure):
    _fields_ = [
        ("grid", ctypes.c_uint * 3),
        ("block", ctypes.c_uint * 3),
        ("shared_bytes", ctypes.c_uint),
        ("stream", ctypes.c_void_p),
        ("attributes", ctypes.POINTER(_LaunchAttribute)),
        ("num_attributes", ctypes.c_uint),
    ]


class Context:
    """The device's primary context, current in this thread."""

    def __init__(self, ordinal: int = 0) -> None:
        call("cuInit", 0)
        self._device = ctypes.c_int()
        call("cuDeviceGet", ctypes.byref(self._device), ordinal)
        self._context = ctypes.c_void_p()
        call("cuDevicePrimaryCtxRetain", ctypes.byref(self._context), self._device)
        call("cuCtxSetCurrent", self._context)

    @property
    def l2_bytes(self) -> int:
        value = ctypes.c_int()
        call("cuDeviceGetAttribute", ctypes.byref(value), _ATTRIBUTE_L2_BYTES, self._device)
        return value.value

    @property
    def uuid(self) -> str:
        raw = (ctypes.c_ubyte * 16)()
        call("cuDeviceGetUuid_v2", raw, self._device)
        return bytes(raw).hex()

    def forbid_persisting_l2(self) -> None:
        """No line of L2 may be kept for anyone."""
        _call_where_supported("cuCtxSetLimit", _LIMIT_PERSISTING_L2, ctypes.c_size_t(0))
        self.reset_persisting_l2()

    def reset_persisting_l2(self) -> None:
        """Lines of L2 that are kept are given up; a kernel can ask for that by itself, with evict_last."""
        _call_where_supported("cuCtxResetPersistingL2Cache")

    def synchronize(self) -> None:
        call("cuCtxSynchronize")


def allocate(size: int) -> int:
    """Address of `size` bytes of device memory, in an allocation that nothing else shares."""
    address = ctypes.c_uint64()
    rounded = max(1, -(-size // ALLOCATION_BYTES)) * ALLOCATION_BYTES
    call("cuMemAlloc_v2", ctypes.byref(address), ctypes.c_size_t(rounded))
    return address.value


def free(address: int) -> None:
    call("cuMemFree_v2", ctypes.c_uint64(address))


def export(address: int) -> bytes:
    """A handle by which another process of the same user opens the allocation."""
    handle = (ctypes.c_ubyte * IPC_HANDLE_BYTES)()
    call("cuIpcGetMemHandle", handle, ctypes.c_uint64(address))
    return bytes(handle)


class _IpcHandle(ctypes.Structure):
    _fields_ = [("bytes", ctypes.c_ubyte * IPC_HANDLE_BYTES)]


def open_exported(handle: bytes) -> int:
    """Address, here, of an allocation that another process exported."""
    address = ctypes.c_uint64()
    call("cuIpcOpenMemHandle_v2", ctypes.byref(address), _IpcHandle.from_buffer_copy(handle), _IPC_LAZY_PEER_ACCESS)
    return address.value


def close_exported(address: int) -> None:
    call("cuIpcCloseMemHandle", ctypes.c_uint64(address))


class Stream:
    """A stream of its own; work on it can be captured into a graph and timed."""

    def __init__(self) -> None:
        self.handle = ctypes.c_void_p()
        call("cuStreamCreate", ctypes.byref(self.handle), _STREAM_NON_BLOCKING)

    def synchronize(self) -> None:
        call("cuStreamSynchronize", self.handle)

    def fill(self, address: int, size: int, pattern: bytes) -> None:
        """Repeat `pattern` (1, 2 or 4 bytes) over `size` bytes; `size` is a multiple of its length."""
        name, kind = {1: ("cuMemsetD8Async", "B"), 2: ("cuMemsetD16Async", "H"), 4: ("cuMemsetD32Async", "I")}[len(pattern)]
        value = {"B": ctypes.c_ubyte, "H": ctypes.c_ushort, "I": ctypes.c_uint}[kind](int.from_bytes(pattern, "little"))
        call(name, ctypes.c_uint64(address), value, ctypes.c_size_t(size // len(pattern)), self.handle)

    def capture(self) -> Capture:
        """`with stream.capture() as capture:` records what is launched; `capture.graph` replays it."""
        return Capture(self)


class Capture:
    """A stretch of a stream's work, kept instead of run."""

    graph: Graph

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def __enter__(self) -> Capture:
        call("cuStreamBeginCapture_v2", self._stream.handle, _CAPTURE_THREAD_LOCAL)
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        captured = ctypes.c_void_p()
        call("cuStreamEndCapture", self._stream.handle, ctypes.byref(captured))
        if kind is None:
            self.graph = Graph(captured)
            call("cuGraphDestroy", captured)


class Graph:
    """Launches that run as one. What they were captured in stays the caller's."""

    def __init__(self, captured: ctypes.c_void_p) -> None:
        self._executable = ctypes.c_void_p()
        call("cuGraphInstantiateWithFlags", ctypes.byref(self._executable), captured, ctypes.c_ulonglong(0))

    def launch(self, stream: Stream) -> None:
        call("cuGraphLaunch", self._executable, stream.handle)


class Event:
    """A point in a stream's time."""

    def __init__(self) -> None:
        self.handle = ctypes.c_void_p()
        call("cuEventCreate", ctypes.byref(self.handle), _EVENT_DEFAULT)

    def record(self, stream: Stream) -> None:
        call("cuEventRecord", self.handle, stream.handle)

    def milliseconds_since(self, earlier: Event) -> float:
        elapsed = ctypes.c_float()
        call("cuEventElapsedTime", ctypes.byref(elapsed), earlier.handle, self.handle)
        return elapsed.value


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shape:
    """How a kernel is launched. `cluster` is the number of blocks that form one along the first axis."""

    grid: tuple[int, int, int]
    threads: int
    shared_bytes: int
    cluster: int = 1
    cooperative: bool = False
    programmatic: bool = False  # may start before its predecessor has ended (PDL)


class Function:
    """A kernel of a loaded binary."""

    def __init__(self, binary: bytes, name: str, *, shared_bytes: int, cluster: int) -> None:
        self._module = ctypes.c_void_p()
        call("cuModuleLoadData", ctypes.byref(self._module), binary)
        self._function = ctypes.c_void_p()
        call("cuModuleGetFunction", ctypes.byref(self._function), self._module, name.encode())
        if shared_bytes > SHARED_WITHOUT_ASKING:
            call("cuFuncSetAttribute", self._function, _FUNC_MAX_DYNAMIC_SHARED, shared_bytes)
        if cluster > 1:
            call("cuFuncSetAttribute", self._function, _FUNC_NON_PORTABLE_CLUSTER, 1)

    def launch(self, stream: Stream, shape: Shape, parameters: Parameters) -> None:
        attributes = (_LaunchAttribute * 3)()
        count = 0
        for identity, wanted, value in (
            (_LAUNCH_COOPERATIVE, shape.cooperative, (1,)),
            (_LAUNCH_PDL, shape.programmatic, (1,)),
            (_LAUNCH_CLUSTER, shape.cluster > 1, (shape.cluster, 1, 1)),
        ):
            if wanted:
                attributes[count].id = identity
                attributes[count].value[: len(value)] = value
                count += 1
        # Triton counts a grid in clusters, the driver in blocks.
        grid = (shape.grid[0] * shape.cluster, shape.grid[1], shape.grid[2])
        config = _LaunchConfig(
            grid=(ctypes.c_uint * 3)(*grid),
            block=(ctypes.c_uint * 3)(shape.threads, 1, 1),
            shared_bytes=shape.shared_bytes,
            stream=stream.handle,
            attributes=attributes,
            num_attributes=count,
        )
        call("cuLaunchKernelEx", ctypes.byref(config), self._function, parameters.addresses, None)


class Parameters:
    """The parameters of a launch as the driver reads them: an address for each, far more than there can be."""

    def __init__(self, values: Sequence[bytes]) -> None:
        size = (len(values) + 1) * PARAMETER_BYTES
        self._room = (ctypes.c_ubyte * (size + TENSOR_MAP_ALIGNMENT))()
        base = ctypes.addressof(self._room)
        base += -base % TENSOR_MAP_ALIGNMENT
        zeros = base + len(values) * PARAMETER_BYTES
        self.addresses = (ctypes.c_void_p * MOST_PARAMETERS)(*[zeros] * MOST_PARAMETERS)
        for index, value in enumerate(values):
            address = base + index * PARAMETER_BYTES
            ctypes.memmove(address, value, len(value))
            self.addresses[index] = address


def encode_tensor_map(
    *,
    address: int,
    data_type: int,
    shape: Sequence[int],
    strides: Sequence[int],
    box: Sequence[int],
    swizzle: int,
    nan_fill: bool,
) -> bytes:
    """A TMA descriptor made on the host: 128 bytes, passed to a kernel by value.

    Args:
        data_type, swizzle: numbers of CUtensorMapDataType and CUtensorMapSwizzle.
        shape, box: elements, innermost axis first; strides: bytes, without the innermost axis.
    """
    rank = len(shape)
    room = (ctypes.c_ubyte * (TENSOR_MAP_BYTES + TENSOR_MAP_ALIGNMENT))()
    start = -ctypes.addressof(room) % TENSOR_MAP_ALIGNMENT
    call(
        "cuTensorMapEncodeTiled",
        ctypes.c_void_p(ctypes.addressof(room) + start),
        data_type,
        ctypes.c_uint32(rank),
        ctypes.c_void_p(address),
        (ctypes.c_uint64 * rank)(*shape),
        (ctypes.c_uint64 * max(1, rank - 1))(*strides),
        (ctypes.c_uint32 * rank)(*box),
        (ctypes.c_uint32 * rank)(*[1] * rank),
        _INTERLEAVE_NONE,
        swizzle,
        _L2_PROMOTION_128,
        int(nan_fill),
    )
    return bytes(room[start : start + TENSOR_MAP_BYTES])
