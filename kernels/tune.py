"""``python -m kernels.tune``: measure the candidates for each choice of ``kernels.dispatch`` on this machine's GPU.

    --only half,fp8          some of the choices: half, fp8, nvfp4, paged, softmax

Prints, for each shape, the fastest candidates. Choices are committed by hand: the fastest over all shapes, not that of each.
Candidates are compiled by several processes first, which leave them in Triton's cache.
"""

import argparse
import itertools
import os
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import torch

from kernels.bench import HEAD_DIM, HEADS_KV, HEADS_Q, decode_inputs
from kernels.decode import decode_attention
from kernels.decode_fp8 import decode_attention_fp8
from kernels.decode_nvfp4 import decode_attention_nvfp4
from kernels.decode_paged import decode_attention_paged
from kernels.dispatch import DecodePlan, SoftmaxPlan, device_of, shared_row_plan
from kernels.measure import measure_together
from kernels.softmax import softmax_online

# block_n, num_warps, num_stages
TILES = {
    "half": [(32, 1, 3), (32, 2, 3), (32, 2, 4), (64, 2, 3), (64, 4, 2), (64, 4, 3), (64, 4, 4), (128, 4, 2), (128, 4, 3)],
    "paged": [(32, 2, 3), (32, 2, 4), (64, 4, 2), (64, 4, 3), (64, 4, 4)],
    "fp8": [(32, 1, 3), (32, 1, 4), (32, 2, 3), (32, 2, 4), (64, 2, 3), (64, 4, 3), (64, 4, 4), (128, 4, 3)],
    "nvfp4": [(32, 1, 3), (32, 1, 4), (32, 2, 3), (64, 1, 3), (64, 2, 3), (64, 2, 4), (64, 4, 3), (128, 4, 3)],
}
# programs per multiprocessor that the splits aim at
PROGRAMS = {"half": (1, 2, 3, 4, 6, 8), "paged": (2, 3, 4, 6, 8), "fp8": (2, 4, 6, 8, 12, 16), "nvfp4": (4, 6, 8, 10, 12, 16)}
SHAPES = ((1, 4096), (1, 65536), (8, 8192), (32, 4096), (32, 16384))  # batch, tokens
COLUMNS = (32768, 65536, 131072)
SHOWN = 4


def decode_call(kind: str, batch: int, tokens: int) -> Callable[[DecodePlan], object]:
    """The decode kernel of a kind over random caches: contents do not matter to its time."""
    query, _, _, kv_len = decode_inputs(batch, 1)
    kv_len.fill_(tokens)
    shape = (batch, HEADS_KV, tokens)
    one = torch.ones(1, device="cuda")
    codes = lambda width: torch.randint(0, 120, (*shape, width), dtype=torch.uint8, device="cuda")  # noqa: E731
    if kind == "half":
        key, value = (torch.randn(*shape, HEAD_DIM, device="cuda", dtype=torch.bfloat16) for _ in range(2))
        return lambda plan: decode_attention(query, key, value, kv_len, check_kv_len=False, plan=plan)
    if kind == "paged":
        pages = batch * tokens // 64
        key, value = (torch.randn(pages, HEADS_KV, 64, HEAD_DIM, device="cuda", dtype=torch.bfloat16) for _ in range(2))
        table = torch.randperm(pages, device="cuda").view(batch, -1).int()
        return lambda plan: decode_attention_paged(query, key, value, table, kv_len, check_kv_len=False, plan=plan)
    if kind == "fp8":
        scale = torch.ones(HEADS_KV, device="cuda")
        cache = (codes(HEAD_DIM), codes(HEAD_DIM), scale, scale)
        return lambda plan: decode_attention_fp8(query, *cache, kv_len, check_kv_len=False, plan=plan)
    cache = (codes(HEAD_DIM // 2), codes(HEAD_DIM // 16), one, codes(HEAD_DIM // 2), codes(HEAD_DIM // 16), one)
    return lambda plan: decode_attention_nvfp4(query, *cache, kv_len, check_kv_len=False, plan=plan)


def decode_plans(kind: str, batch: int, tokens: int) -> dict[str, DecodePlan]:
    num_sms = device_of(torch.device("cuda", 0)).num_sms
    plans = {}
    for (block_n, num_warps, num_stages), programs in itertools.product(TILES[kind], PROGRAMS[kind]):
        wanted = -(-programs * num_sms // (batch * HEADS_KV))
        splits = max(1, min(wanted, tokens // block_n // 2))
        plan = DecodePlan(block_n=block_n, num_warps=num_warps, num_stages=num_stages, num_kv_splits=splits)
        plans.setdefault(f"{block_n}x{num_warps}w{num_stages}s/{splits}", plan)
    return plans


def softmax_plans(cols: int) -> dict[str, SoftmaxPlan]:
    here = device_of(torch.device("cuda", 0))
    plans = {}
    for block, num_warps, per_sm in (
        (4096, 4, 4),
        (8192, 8, 1),
        (8192, 8, 2),
        (8192, 8, 3),
        (8192, 16, 2),
        (16384, 16, 1),
        (16384, 32, 1),
    ):
        plans[f"shared row {block}x{num_warps}w, {per_sm}/SM"] = shared_row_plan(
            here, cols, block=block, num_warps=num_warps, programs_per_sm=per_sm
        )
    for block, num_warps, stages in ((2048, 8, 3), (4096, 8, 3), (4096, 16, 3), (8192, 16, 2)):
        plans[f"two passes {block}x{num_warps}w{stages}s"] = SoftmaxPlan(
            kernel="two passes", block=block, num_warps=num_warps, programs=here.num_sms, num_stages=stages
        )
    if cols <= 32768:
        for num_warps in (16, 32):
            plans[f"registers {num_warps}w"] = SoftmaxPlan(kernel="registers", block=32768, num_warps=num_warps)
    return plans


def compile_tile(kind: str, tile: tuple[int, int, int]) -> None:
    """Run one candidate on little data, split and whole, so that its binaries are in the cache."""
    block_n, num_warps, num_stages = tile
    for splits in (1, 2):
        plan = DecodePlan(block_n=block_n, num_warps=num_warps, num_stages=num_stages, num_kv_splits=splits)
        decode_call(kind, 2, 1024)(plan)
    torch.cuda.synchronize()


def show(what: str, functions: dict[str, Callable], repetitions: int) -> None:
    runnable = {}
    for name, function in functions.items():
        try:
            function()
            torch.cuda.synchronize()
            runnable[name] = function
        except (RuntimeError, ValueError) as refusal:  # too much shared memory, or too many programs to be resident at once
            print(f"  {name}: {str(refusal)[:90]}")
    times = measure_together(runnable, repetitions=repetitions)
    fastest = sorted(times, key=lambda name: times[name].median_us)
    print(f"{what}: " + ", ".join(f"{name} {times[name].median_us:.1f}" for name in fastest[:SHOWN]), flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m kernels.tune", description="Measure the candidates of kernels.dispatch.")
    parser.add_argument("--only", default="half,fp8,nvfp4,paged,softmax")
    wanted = parser.parse_args().only.split(",")
    if not torch.cuda.is_available():
        print("No NVIDIA GPU here: nothing can be tuned.", file=sys.stderr)
        return 1
    kinds = [kind for kind in TILES if kind in wanted]
    with ProcessPoolExecutor(max_workers=min(12, os.cpu_count() or 1), mp_context=get_context("spawn")) as pool:
        jobs = [(kind, tile) for kind in kinds for tile in TILES[kind]]
        for job, done in [(job, pool.submit(compile_tile, *job)) for job in jobs]:
            if failure := done.exception():
                print(f"  {job}: {str(failure)[:90]}")
    print(f"{torch.cuda.get_device_name()}: {HEADS_Q}/{HEADS_KV} heads, head_dim {HEAD_DIM}; us", flush=True)
    for kind, (batch, tokens) in itertools.product(kinds, SHAPES):
        call = decode_call(kind, batch, tokens)
        plans = decode_plans(kind, batch, tokens)
        show(f"{kind} {batch} x {tokens}", {name: lambda p=plan, c=call: c(p) for name, plan in plans.items()}, 7)
    for cols in COLUMNS if "softmax" in wanted else ():
        x = torch.randn((1 << 28) // cols, cols, device="cuda")
        out = torch.empty_like(x)
        functions = {
            name: lambda p=plan, x=x, o=out: softmax_online(x, o, plan=p) for name, plan in softmax_plans(cols).items()
        }
        show(f"softmax {cols}", functions | {"copy": lambda x=x, o=out: o.copy_(x)}, 7)
    return 0


if __name__ == "__main__":
    sys.exit(main())
