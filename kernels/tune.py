"""``python -m kernels.tune``: measure the candidates for each choice of ``kernels.dispatch`` on this machine's GPU.

    --only half,fp8          some of the choices: half, fp8, nvfp4, paged, softmax, backward, hopper

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

from kernels.bench import HEAD_DIM, HEADS_KV, HEADS_Q, HIDDEN, TOKENS, decode_inputs
from kernels.decode import decode_attention
from kernels.decode_fp8 import decode_attention_fp8
from kernels.decode_nvfp4 import decode_attention_nvfp4
from kernels.decode_paged import decode_attention_paged
from kernels.dispatch import (
    BackwardPlan,
    BackwardTiles,
    DecodePlan,
    HopperDecodePlan,
    HopperPlan,
    SoftmaxPlan,
    cluster_plan,
    cut_cache,
    cut_cache_hopper,
    device_of,
)
from kernels.flash_attention import flash_attention
from kernels.flash_attention_backward import flash_attention_backward
from kernels.measure import measure_together
from kernels.softmax import softmax_online

# block_n, num_warps, num_stages
TILES = {
    "half": [
        (32, 1, 3),
        (32, 1, 4),
        (32, 2, 3),
        (32, 2, 4),
        (64, 2, 3),
        (64, 4, 2),
        (64, 4, 3),
        (64, 4, 4),
        (128, 4, 2),
        (128, 4, 3),
    ],
    "paged": [(32, 1, 3), (64, 2, 3), (32, 2, 3), (32, 2, 4), (64, 4, 2), (64, 4, 3), (64, 4, 4)],
    "fp8": [(32, 1, 3), (32, 1, 4), (32, 2, 3), (32, 2, 4), (64, 2, 3), (64, 4, 3), (64, 4, 4), (128, 4, 3)],
    "nvfp4": [(32, 1, 3), (32, 1, 4), (32, 2, 3), (64, 1, 3), (64, 2, 3), (64, 2, 4), (64, 4, 3), (128, 4, 3)],
}
# tokens of a warp, warps, programs a multiprocessor: of the Gluon kernel, on Hopper
HOPPER_TILES = {
    "nvfp4": [(64, 2, 4), (64, 4, 2), (32, 2, 6), (32, 4, 3)],
    "fp8": [(64, 4, 2), (64, 2, 4), (32, 2, 6)],
    "paged": [(32, 4, 2), (32, 2, 4), (64, 2, 4), (32, 2, 6)],
}
# block_m, block_n, warps, stages of the two kernels of the gradients; each of one list is timed with the first of the other
BACKWARD_QUERIES = [(128, 64, 8, 3), (64, 64, 4, 3), (64, 64, 4, 2), (128, 128, 8, 2), (128, 64, 8, 2)]
BACKWARD_KEYS = [(64, 64, 4, 2), (32, 64, 4, 3), (64, 64, 4, 3), (64, 128, 8, 2), (64, 128, 8, 3), (32, 128, 8, 3)]
# programs per multiprocessor that the splits aim at
PROGRAMS = {"half": (1, 2, 3, 4, 6), "paged": (1, 2, 3, 4, 6), "fp8": (1, 2, 3, 4, 8), "nvfp4": (1, 2, 4, 6, 8, 12)}
SHAPES = ((1, 4096), (1, 65536), (8, 8192), (32, 4096), (32, 16384), (128, 4096))  # batch, tokens
COLUMNS = (32768, 65536, 131072)
# By head_dim: block_n, consumers, num_stages; each with and without turns, sums in parts and, where there are registers for it,
# the query in registers.
HOPPER = {
    head_dim: [
        HopperPlan(
            block_n=block_n, consumers=consumers, num_stages=num_stages,
            turns=turns, query_in_registers=in_registers, sums_in_parts=in_parts,
        )
        for block_n, consumers, num_stages in tiles
        for turns, in_parts, in_registers in itertools.product((False, True), repeat=3)
        if not (in_registers and head_dim == 64)
    ]
    for head_dim, tiles in {128: ((128, 2, 2), (64, 2, 4)), 64: ((128, 3, 2), (128, 3, 3), (128, 2, 3), (64, 3, 4))}.items()
}  # fmt: skip
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
    packed = (codes(HEAD_DIM // 2), codes(HEAD_DIM // 16), one, codes(HEAD_DIM // 2), codes(HEAD_DIM // 16), one)
    return lambda plan: decode_attention_nvfp4(query, *packed, kv_len, check_kv_len=False, plan=plan)


def decode_plans(kind: str, batch: int, tokens: int) -> dict[tuple, DecodePlan | HopperDecodePlan]:
    """By (block_n, num_warps, num_stages, programs a multiprocessor): the lines of ``dispatch.DECODE_TILES``; and on Hopper by
    ("hopper", tokens, num_warps, programs): those of ``dispatch.HOPPER_DECODE_TILES``.
    """
    here = device_of(torch.device("cuda", 0))
    candidates = [(*tile, programs) for tile in TILES[kind] for programs in PROGRAMS[kind]]
    plans: dict[tuple, DecodePlan | HopperDecodePlan] = {
        candidate: cut_cache(here, batch * HEADS_KV, tokens, *candidate) for candidate in candidates
    }
    if here.capability == 90:
        for tile in HOPPER_TILES.get(kind, ()):
            plans["hopper", *tile] = cut_cache_hopper(here, batch * HEADS_KV, tokens, *tile)
    return plans


def softmax_plans(cols: int) -> dict[object, SoftmaxPlan]:
    """By name, or for rows in a cluster by the line of ``dispatch.CLUSTER_PIECE``."""
    here = device_of(torch.device("cuda", 0))
    plans: dict[object, SoftmaxPlan] = {}
    for block, num_warps, stages in ((2048, 8, 3), (4096, 8, 3), (4096, 16, 3), (8192, 16, 2)):
        plans[f"two passes {block}x{num_warps}w{stages}s"] = SoftmaxPlan(
            kernel="two passes", block=block, num_warps=num_warps, programs=here.num_sms, num_stages=stages
        )
    if cols <= 32768:
        for num_warps in (16, 32):
            plans[f"registers {num_warps}w"] = SoftmaxPlan(kernel="registers", block=32768, num_warps=num_warps)
    else:
        for block, num_warps in ((8192, 4), (8192, 8), (16384, 8), (16384, 16), (32768, 16), (32768, 32)):
            plans[block, num_warps] = cluster_plan(cols, block, num_warps)
    return plans


def compile_tile(kind: str, tile: tuple[int, int, int]) -> None:
    """In a process of its own: run one candidate on little data, split and whole, so that its binaries are in the cache."""
    block_n, num_warps, num_stages = tile
    for splits in (1, 2):
        plan = DecodePlan(block_n=block_n, num_warps=num_warps, num_stages=num_stages, num_kv_splits=splits)
        decode_call(kind, 2, 1024)(plan)
    torch.cuda.synchronize()


def backward_calls(head_dim: int, seqlen: int) -> dict[tuple, Callable]:
    """By the tiles of its two kernels, on Hopper by descriptor."""
    shape = (TOKENS // seqlen, HIDDEN // head_dim, seqlen, head_dim)
    query, key, value, dout = (torch.randn(shape, device="cuda").bfloat16() for _ in range(4))
    out, lse = flash_attention(query, key, value, causal=True)
    descriptors = device_of(torch.device("cuda", 0)).capability == 90
    pairs = [(queries, BACKWARD_KEYS[0]) for queries in BACKWARD_QUERIES] + [
        (BACKWARD_QUERIES[0], keys) for keys in BACKWARD_KEYS
    ]
    names = ("block_m", "block_n", "num_warps", "num_stages")
    calls = {}
    for pair in pairs:
        queries, keys = (BackwardTiles(**dict(zip(names, tiles, strict=True))) for tiles in pair)
        plan = BackwardPlan(queries=queries, keys=keys, descriptors=descriptors)
        calls[pair] = lambda p=plan: flash_attention_backward(query, key, value, out, lse, dout, causal=True, plan=p)
    return calls


def hopper_calls(head_dim: int, causal: bool, seqlen: int) -> dict[HopperPlan, Callable]:
    from kernels.flash_attention_hopper import launch

    shape = (TOKENS // seqlen, HIDDEN // head_dim, seqlen, head_dim)
    query, key, value = (torch.randn(shape, device="cuda").bfloat16() for _ in range(3))
    out, lse = torch.empty_like(query), torch.empty(shape[:-1], device="cuda")
    scale = head_dim**-0.5
    return {
        plan: lambda p=plan: launch(query, key, value, out, lse, causal=causal, scale_log2=scale, plan=p)
        for plan in HOPPER[head_dim]
    }


def compared(what: str, functions: dict, repetitions: int) -> dict:
    """Median times; says which candidates are refused, and shows the fastest."""
    runnable = {}
    for name, function in functions.items():
        try:
            function()
            torch.cuda.synchronize()
            runnable[name] = function
        except (RuntimeError, ValueError) as refusal:  # too much shared memory, or too many programs to be resident at once
            print(f"  {name}: {str(refusal)[:90]}")
    times = {name: timing.median_us for name, timing in measure_together(runnable, repetitions=repetitions).items()}
    fastest = sorted(times, key=times.__getitem__)
    print(f"{what}: " + ", ".join(f"{name} {times[name]:.1f}" for name in fastest[:SHOWN]), flush=True)
    return times


def best_overall(measured: list[dict]) -> object:
    """The candidate whose time, relative to the fastest of each shape, is least on average."""
    everywhere = set.intersection(*(set(times) for times in measured))
    return min(everywhere, key=lambda name: sum(times[name] / min(times.values()) for times in measured))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m kernels.tune", description="Measure the candidates of kernels.dispatch.")
    parser.add_argument("--only", default="half,fp8,nvfp4,paged,softmax,backward,hopper")
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
    num_sms = device_of(torch.device("cuda", 0)).num_sms
    for kind in kinds:
        few: list[dict] = []
        more: list[dict] = []
        many: list[dict] = []
        for batch, tokens in SHAPES:
            call = decode_call(kind, batch, tokens)
            plans = decode_plans(kind, batch, tokens)
            distinct = {plan: lambda p=plan, c=call: c(p) for plan in plans.values()}
            times = compared(f"{kind} {batch} x {tokens}", distinct, 9)
            by_line = {line: times[plan] for line, plan in plans.items() if plan in times}
            pairs = batch * HEADS_KV
            (few if pairs < num_sms else more if pairs <= 4 * num_sms else many).append(by_line)
        print(f'CHOICE "{kind}": ({best_overall(few)}, {best_overall(more)}, {best_overall(many)}),', flush=True)
    if "softmax" in wanted:
        measured = []
        for cols in COLUMNS:
            x = torch.randn((1 << 28) // cols, cols, device="cuda")
            out = torch.empty_like(x)
            candidates = softmax_plans(cols)
            functions = {name: lambda p=plan, x=x, o=out: softmax_online(x, o, plan=p) for name, plan in candidates.items()}
            measured.append(compared(f"softmax {cols}", functions | {"copy": lambda x=x, o=out: o.copy_(x)}, 7))
        clusters = [{name: time for name, time in times.items() if isinstance(name, tuple)} for times in measured]
        if any(clusters):  # only Hopper has them
            print(f"CHOICE CLUSTER_PIECE = {best_overall([times for times in clusters if times])}", flush=True)
    if "backward" in wanted:
        for head_dim in (64, 128):
            measured = [
                compared(f"backward {head_dim} {seqlen}", backward_calls(head_dim, seqlen), 5) for seqlen in (4096, 16384)
            ]
            print(f"CHOICE BACKWARD, {head_dim}: {best_overall(measured)}", flush=True)
    if "hopper" in wanted:
        for head_dim in HOPPER:
            for causal in (False, True):
                measured = [
                    compared(f"prefill {head_dim} {causal} {seqlen}", hopper_calls(head_dim, causal, seqlen), 7)
                    for seqlen in (1024, 4096, 16384)
                ]
                print(f"CHOICE {(head_dim, causal)}: {best_overall(measured)},", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
