"""What every kernel asks of its arguments before it launches: one sentence that names the argument, the rule and the value.

Admission: a check that two kernels share. Shapes that belong to one kernel are checked in its own file.
"""

import torch
import triton

HEAD_DIMS = (16, 32, 64, 128)
HALF_DTYPES = (torch.float16, torch.bfloat16)
FLOAT_DTYPES = (torch.float16, torch.bfloat16, torch.float32)


def interpreting() -> bool:
    """Whether Triton's interpreter runs the kernels (TRITON_INTERPRET=1, set before triton is first imported)."""
    return bool(triton.knobs.runtime.interpret)


def require_device(**tensors: torch.Tensor) -> None:
    """All on one device, on which a Triton kernel can run."""
    (first_name, first), *rest = tensors.items()
    for name, tensor in rest:
        if tensor.device != first.device:
            raise ValueError(f"{name} is on {tensor.device} and must be on {first.device}, where {first_name} is")
    if first.device.type != "cuda" and not interpreting():
        raise ValueError(
            f"{first_name} is on {first.device} and must be on a CUDA device; "
            "on a CPU set TRITON_INTERPRET=1 before triton is imported"
        )


def require_dtype(dtypes: tuple[torch.dtype, ...], **tensors: torch.Tensor) -> None:
    """Each of one of these dtypes, and all of the same."""
    (first_name, first), *_ = tensors.items()
    for name, tensor in tensors.items():
        if tensor.dtype not in dtypes:
            allowed = ", ".join(str(dtype).removeprefix("torch.") for dtype in dtypes)
            raise ValueError(f"{name} has dtype {tensor.dtype} and must have one of: {allowed}")
        if tensor.dtype != first.dtype:
            raise ValueError(f"{name} has dtype {tensor.dtype} and must have {first.dtype}, which {first_name} has")


def require_dims(dims: int, **tensors: torch.Tensor) -> None:
    for name, tensor in tensors.items():
        if tensor.dim() != dims:
            raise ValueError(f"{name} has shape {list(tensor.shape)} and must have {dims} dimensions")


def require_shape(shape: tuple[int, ...], axes: str, **tensors: torch.Tensor) -> None:
    """Each of this shape; ``axes`` names it in words."""
    for name, tensor in tensors.items():
        if tuple(tensor.shape) != tuple(shape):
            raise ValueError(f"{name} has shape {list(tensor.shape)} and must have {list(shape)}: {axes}")


def require_dense_rows(**tensors: torch.Tensor) -> None:
    """Neighbours of the last axis are neighbours in memory: what a coalesced load needs. Other axes may be strided."""
    for name, tensor in tensors.items():
        if tensor.shape[-1] > 1 and tensor.stride(-1) != 1:
            raise ValueError(f"{name} has stride {tensor.stride(-1)} in its last axis and must have 1")


def require_heads(num_heads_q: int, num_heads_kv: int) -> None:
    if num_heads_kv < 1 or num_heads_q < 1 or num_heads_q % num_heads_kv:
        raise ValueError(f"num_heads_q={num_heads_q} must be a multiple of num_heads_kv={num_heads_kv}")


def require_head_dim(head_dim: int) -> None:
    if head_dim not in HEAD_DIMS:
        raise ValueError(f"head_dim={head_dim} must be one of {', '.join(map(str, HEAD_DIMS))}")


def require_scale(softmax_scale: float) -> None:
    if not 0 < softmax_scale < float("inf"):
        raise ValueError(f"softmax_scale={softmax_scale} must be positive and finite")


def require_kv_len(kv_len: torch.Tensor, batch: int, seqlen_kv: int) -> None:
    """[batch], int32, each in 0 .. seqlen_kv. Reads the values back, so on a GPU it waits for the stream."""
    require_kv_len_shape(kv_len, batch)
    if batch and (low := int(kv_len.min())) < 0:
        raise ValueError(f"kv_len holds {low} and must not be negative")
    if batch and (high := int(kv_len.max())) > seqlen_kv:
        raise ValueError(f"kv_len holds {high} and must not exceed the cache's {seqlen_kv} tokens")


def require_kv_len_shape(kv_len: torch.Tensor, batch: int) -> None:
    """[batch], int32; its values are not read."""
    require_dims(1, kv_len=kv_len)
    require_shape((batch,), "[batch]", kv_len=kv_len)
    if kv_len.dtype != torch.int32:
        raise ValueError(f"kv_len has dtype {kv_len.dtype} and must have torch.int32")
