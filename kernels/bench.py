"""``python -m kernels.bench``: our kernels beside their rivals on this machine's GPU, as tables, JSON and plots.

    --only prefill,decode    some of the tables: copy, scores, softmax, prefill, prefill_fp8, backward, decode, quantised, paged
    --json FILE              all figures, with device, versions and date; tabs/figures/measured/ holds what the page shows
    --plots FOLDER           what was achieved against the roof, as HTML

Each row is our median time over that of the best rival (or of the kernel that the target names), outputs compared first. A
rival that stays under half of what is published of it ends the bench with a sentence (``kernels.rivals``).
On a machine without a GPU it says what it cannot measure.
"""

import argparse
import datetime
import json
import shlex
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch
import triton

from kernels.decode import decode_attention
from kernels.decode_fp8 import decode_attention_fp8
from kernels.decode_nvfp4 import decode_attention_nvfp4
from kernels.decode_paged import decode_attention_paged
from kernels.flash_attention import flash_attention
from kernels.flash_attention_backward import flash_attention_backward
from kernels.flash_attention_fp8 import flash_attention_fp8
from kernels.measure import FLUSHED_BY, Timing, measure_together
from kernels.quantize import quantize_fp8, quantize_nvfp4
from kernels.rivals import (
    PUBLISHED_SHARE_OF_COPY,
    PUBLISHED_TFLOPS,
    attention_rivals,
    backward_rivals,
    require_as_published,
)
from kernels.roof import copy
from kernels.scores import scores
from kernels.softmax import softmax_online

TOKENS, HIDDEN = 16384, 2048  # of a prefill: batch * seqlen and num_heads * head_dim
HEADS_Q, HEADS_KV, HEAD_DIM = 32, 8, 128  # of a decode
PREFILL_TARGETS = {  # (head_dim, causal, seqlen) -> least ratio to the better of FlashAttention-3 and cuDNN
    (128, False, 16384): 1.00, (128, True, 16384): 1.00, (128, False, 4096): 1.01, (128, True, 4096): 1.00,
    (64, False, 16384): 1.02, (64, True, 16384): 1.00, (64, False, 4096): 0.97, (64, True, 4096): 0.97,
    (128, False, 1024): 0.90, (128, True, 1024): 0.90, (64, False, 1024): None, (64, True, 1024): None,
}  # fmt: skip
PREFILL_FP8_TARGETS = {(128, False, 16384): 1.50, (128, True, 16384): None, (128, False, 4096): None}  # to our bf16
BACKWARD_TARGETS = {(128, True, 4096): 1.00, (128, True, 16384): 1.00, (128, False, 4096): None, (64, True, 4096): None}
DECODE_SHAPES = ((1, 4096), (1, 65536), (8, 8192), (32, 4096), (32, 16384), (128, 4096))  # batch, tokens
SMALL_CACHES = {(1, 1024): 8.0, (4, 1024): 10.0}  # batch, tokens -> most us
QUANTISED_TARGETS = {  # format, batch, tokens -> least ratio to our bf16
    ("FP8", 32, 16384): 1.95, ("FP8", 1, 65536): 1.80, ("FP8", 32, 4096): None,
    ("NVFP4", 32, 16384): 2.9, ("NVFP4", 1, 65536): 2.3, ("NVFP4", 32, 4096): None,
    ("FP8", 1, 1024): None, ("NVFP4", 1, 1024): None, ("FP8", 1, 4096): None, ("NVFP4", 1, 4096): None,
}  # fmt: skip
PAGED_TARGETS = {(32, 4096): 0.98, (32, 16384): 0.99, (1, 65536): 0.98}
SOFTMAX_TARGETS = {1024: 0.97, 4096: 0.97, 16384: 0.97, 32768: 0.97, 65536: 0.98, 131072: 0.97, 262144: 0.95}
LONG_CACHE = 256 << 20  # bytes from which a rival's share of the bandwidth is what is published of it
LARGEST_DIFFERENCE = 0.02  # relative, between our output and a rival's of the same dtype


def row(
    name: str, times: dict[str, Timing], *, target: float | None, flops: float, bytes_moved: float,
    against: list[str] | None = None, ours: str = "ours", target_us: float | None = None, **figures: float,
) -> dict:  # fmt: skip
    """One line of a table: the ratio is above 1 where ours is faster than the fastest of ``against``.

    flops and bytes_moved are those of the ideal kernel: each input read and each output written once.
    """
    others = [rival for rival in (against or times) if rival != ours and rival in times]
    best = min(others, key=lambda rival: times[rival].median_us) if others else None
    return {
        "name": name,
        "ratio": round(times[best].median_us / times[ours].median_us, 4) if best else None,
        "target": target,
        **({} if target_us is None else {"target_us": target_us}),
        "ours": ours,
        "rival": best,
        "times_us": {who: [round(t.low_us, 2), round(t.median_us, 2), round(t.high_us, 2)] for who, t in times.items()},
        "flops": flops,
        "bytes_moved": bytes_moved,
        "latency_ms": round(times[ours].median_us / 1e3, 5),
        **{key: round(value, 1) for key, value in figures.items()},
    }


def difference(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    return ((ours.double() - theirs.double()).norm() / theirs.double().norm()).item()


def checked(ours: torch.Tensor, rivals: dict[str, Callable]) -> None:
    for name, rival in rivals.items():
        if not (off := difference(ours, rival())) < LARGEST_DIFFERENCE:
            raise SystemExit(f"our output differs from that of {name} by {off:.3g}, more than {LARGEST_DIFFERENCE}")


def bench_copy() -> Iterator[dict]:
    """The roof: a gigabyte copied by our kernel and by PyTorch's."""
    x = torch.randn(1 << 28, device="cuda")
    out = torch.empty_like(x)
    times = measure_together({"ours": lambda: copy(x, out), "torch": lambda: out.copy_(x)})
    yield row("copy of 1 GiB", times, target=None, flops=0, bytes_moved=2 * x.nbytes)


def bench_scores() -> Iterator[dict]:
    query, key = torch.randn(128, device="cuda").half(), torch.randn(1 << 22, 128, device="cuda").half()
    checked(scores(query, key, softmax_scale=1.0), {"torch": lambda: key @ query})
    times = measure_together({"ours": lambda: scores(query, key, softmax_scale=1.0), "torch": lambda: key @ query})
    yield row("scores of 4194304 keys", times, target=None, flops=2 * key.numel(), bytes_moved=key.nbytes)


def bench_softmax() -> Iterator[dict]:
    """float32 rows, 1 GiB; one read and one write are counted, and the copy moves as much."""
    compiled = torch.compile(lambda x: torch.softmax(x, dim=-1), dynamic=False)
    for cols, target in SOFTMAX_TARGETS.items():
        x = torch.randn((1 << 28) // cols, cols, device="cuda")
        out = torch.empty_like(x)
        checked(softmax_online(x, out), {"torch": lambda x=x: torch.softmax(x, dim=-1)})
        functions: dict[str, Callable[[], object]] = {
            "ours": partial(softmax_online, x, out),
            "copy": partial(out.copy_, x),
            "torch": partial(torch.softmax, x, dim=-1),
            "torch.compile": partial(compiled, x),
        }
        times = measure_together(functions, repetitions=10)
        # five operations an element: maximum, difference, exponential, sum, quotient
        work = {"flops": 5 * x.numel(), "bytes_moved": 2 * x.nbytes}
        yield row(f"softmax {cols} columns", times, target=target, against=["copy"], **work)


def bench_prefill() -> Iterator[dict]:
    for (head_dim, causal, seqlen), target in PREFILL_TARGETS.items():
        shape = (TOKENS // seqlen, HIDDEN // head_dim, seqlen, head_dim)
        query, key, value = (torch.randn(shape, device="cuda").bfloat16() for _ in range(3))
        rivals = attention_rivals(query, key, value, causal=causal, backends=("FlashAttention-2", "cuDNN"))
        ours = lambda q=query, k=key, v=value, c=causal: flash_attention(q, k, v, causal=c)[0]  # noqa: E731
        checked(ours(), rivals)
        times = measure_together({"ours": ours} | rivals, repetitions=15)
        flops = 4 * TOKENS * HIDDEN * seqlen / (2 if causal else 1)
        name = f"prefill {head_dim} {'causal' if causal else 'full'} {seqlen}"
        if seqlen == TOKENS:
            for rival in rivals:
                if published := PUBLISHED_TFLOPS.get((rival, head_dim, causal)):
                    require_as_published(rival, name, flops / times[rival].median_us / 1e6, published, "TFLOP/s")
        against = ["FlashAttention-3", "cuDNN"] if head_dim == 64 or seqlen == 1024 else ["FlashAttention-3"]
        yield row(name, times, target=target, flops=flops, bytes_moved=4 * query.nbytes, against=against)


def bench_prefill_fp8() -> Iterator[dict]:
    """Beside our bf16, the transposed copy of the values included; quantising is not timed."""
    for (head_dim, causal, seqlen), target in PREFILL_FP8_TARGETS.items():
        shape = (TOKENS // seqlen, HIDDEN // head_dim, seqlen, head_dim)
        halves = [torch.randn(shape, device="cuda").bfloat16() for _ in range(3)]
        codes, scales = zip(*(quantize_fp8(tensor) for tensor in halves), strict=True)
        ours = lambda c=codes, s=scales, m=causal: flash_attention_fp8(*c, *s, causal=m)[0]  # noqa: E731
        half = lambda h=halves, m=causal: flash_attention(*h, causal=m)[0]  # noqa: E731
        times = measure_together({"ours": ours, "our bf16": half}, repetitions=15)
        flops = 4 * TOKENS * HIDDEN * seqlen / (2 if causal else 1)
        work = {"flops": flops, "bytes_moved": 3 * codes[0].nbytes + halves[0].nbytes}
        name = f"prefill FP8 {head_dim} {'causal' if causal else 'full'} {seqlen}"
        yield row(name, times, target=target, difference_percent=difference(ours(), half()) * 100, **work)


def bench_backward() -> Iterator[dict]:
    """The gradients alone, of the sizes of a prefill; 5 products of 2 operations are counted, whoever computes some twice."""
    for (head_dim, causal, seqlen), target in BACKWARD_TARGETS.items():
        shape = (TOKENS // seqlen, HIDDEN // head_dim, seqlen, head_dim)
        query, key, value, dout = (torch.randn(shape, device="cuda").bfloat16() for _ in range(4))
        out, lse = flash_attention(query, key, value, causal=causal)
        rivals = backward_rivals(query, key, value, dout, causal=causal)
        ours = partial(flash_attention_backward, query, key, value, out, lse, dout, causal=causal)
        for index in range(3):
            checked(ours()[index], {name: lambda f=rival, i=index: f()[i] for name, rival in rivals.items()})
        times = measure_together({"ours": ours, **rivals}, repetitions=8)
        flops = 10 * TOKENS * HIDDEN * seqlen / (2 if causal else 1)
        name = f"backward {head_dim} {'causal' if causal else 'full'} {seqlen}"
        yield row(name, times, target=target, flops=flops, bytes_moved=8 * query.nbytes)


def decode_inputs(batch: int, tokens: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    query = torch.randn(batch, HEADS_Q, HEAD_DIM, device="cuda").bfloat16()
    key, value = (torch.randn(batch, HEADS_KV, tokens, HEAD_DIM, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    return query, key, value, torch.full((batch,), tokens, dtype=torch.int32, device="cuda")


def decode_flops(batch: int, tokens: int) -> float:
    """Two products, of two operations for each query head, key and column."""
    return 4 * batch * HEADS_Q * tokens * HEAD_DIM


def matmul_tflops(size: int = 8192) -> float:
    """The other roof: a bf16 matrix product by PyTorch."""
    a, b = (torch.randn(size, size, device="cuda").bfloat16() for _ in range(2))
    return 2 * size**3 / measure_together({"torch": lambda: a @ b})["torch"].median_us / 1e6


def copy_gb_s() -> float:
    """What a copy moves a second, read and written, on this GPU."""
    (line,) = bench_copy()
    return line["bytes_moved"] / line["latency_ms"] / 1e6


def bench_decode() -> Iterator[dict]:
    copied = copy_gb_s()
    for batch, tokens in (*DECODE_SHAPES, *SMALL_CACHES):
        query, key, value, kv_len = decode_inputs(batch, tokens)
        rivals = attention_rivals(query[:, :, None], key, value, causal=False, backends=("FlashAttention-2", "cuDNN"))
        ours = lambda q=query, k=key, v=value, n=kv_len: decode_attention(q, k, v, n, check_kv_len=False)[0]  # noqa: E731
        checked(ours()[:, :, None], rivals)
        times = measure_together({"ours": ours} | rivals)
        work = {"flops": decode_flops(batch, tokens), "bytes_moved": 2 * key.nbytes}
        name = f"decode bf16 {batch} x {tokens}"
        if work["bytes_moved"] >= LONG_CACHE:
            for rival in rivals:
                if share := PUBLISHED_SHARE_OF_COPY.get(rival):
                    reached = work["bytes_moved"] / times[rival].median_us / 1e3
                    require_as_published(rival, name, reached, share * copied, "GB/s")
        yield row(name, times, target=1.0, target_us=SMALL_CACHES.get((batch, tokens)), **work)


def bench_quantised() -> Iterator[dict]:
    for (kind, batch, tokens), target in QUANTISED_TARGETS.items():
        query, key, value, kv_len = decode_inputs(batch, tokens)
        half = lambda q=query, k=key, v=value, n=kv_len: decode_attention(q, k, v, n, check_kv_len=False)[0]  # noqa: E731
        if kind == "FP8":
            (key8, key_scale), (value8, value_scale) = quantize_fp8(key), quantize_fp8(value)
            cache: tuple[torch.Tensor, ...] = (key8, value8, key_scale, value_scale)
            quantised: Callable[..., tuple[torch.Tensor, torch.Tensor]] = decode_attention_fp8
        else:
            cache = (*_quantised_by_sequence(key), *_quantised_by_sequence(value))
            quantised = decode_attention_nvfp4
        ours = lambda f=quantised, q=query, c=cache, n=kv_len: f(q, *c, n, check_kv_len=False)[0]  # noqa: E731
        times = measure_together({"ours": ours, "our bf16": half})
        work = {"flops": decode_flops(batch, tokens), "bytes_moved": sum(tensor.nbytes for tensor in cache)}
        percent = difference(ours(), half()) * 100
        yield row(f"decode {kind} {batch} x {tokens}", times, target=target, difference_percent=percent, **work)


def _quantised_by_sequence(cache: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """As quantize_nvfp4, a sequence at a time, whose temporaries fit; one global scale for all."""
    largest = cache.abs().max()
    parts = []
    for sequence in cache:
        scaled = sequence[None].clone()
        scaled[0, 0, 0, 0] = largest  # every sequence gets the global scale of the largest value
        parts.append(quantize_nvfp4(scaled))
    codes, scales, global_scales = zip(*parts, strict=True)
    return torch.cat(codes), torch.cat(scales), global_scales[0]


def bench_paged() -> Iterator[dict]:
    page_size = 64
    for (batch, tokens), target in PAGED_TARGETS.items():
        query, key, value, kv_len = decode_inputs(batch, tokens)
        pages = batch * tokens // page_size
        order = torch.randperm(pages, device="cuda")
        table = order.argsort().view(batch, -1).int()
        # [batch, heads, pages, page_size, head_dim] -> [pages of all sequences, heads, page_size, head_dim], shuffled
        key_pages, value_pages = (
            cache.unflatten(2, (-1, page_size)).transpose(1, 2).flatten(0, 1)[order].contiguous() for cache in (key, value)
        )
        given = (query, key_pages, value_pages, table, kv_len)
        ours = lambda g=given: decode_attention_paged(*g, check_kv_len=False)[0]  # noqa: E731
        whole = lambda q=query, k=key, v=value, n=kv_len: decode_attention(q, k, v, n, check_kv_len=False)[0]  # noqa: E731
        checked(ours(), {"the contiguous cache": whole})
        times = measure_together({"ours": ours, "contiguous": whole})
        work = {"flops": decode_flops(batch, tokens), "bytes_moved": 2 * key.nbytes}
        yield row(f"decode paged {page_size}, {batch} x {tokens}", times, target=target, **work)


TABLES = {
    "copy": bench_copy,
    "decode": bench_decode,
    "quantised": bench_quantised,
    "paged": bench_paged,
    "prefill": bench_prefill,
    "prefill_fp8": bench_prefill_fp8,
    "backward": bench_backward,
    "scores": bench_scores,
    "softmax": bench_softmax,
}


def told(line: dict) -> str:
    gb_s, tflops = line["bytes_moved"] / line["latency_ms"] / 1e6, line["flops"] / line["latency_ms"] / 1e9
    figure = f"{tflops:>7.0f} TFLOP/s" if line["name"].startswith(("prefill", "backward")) else f"{gb_s:>7.0f} GB/s"
    ratio = f"{line['ratio']:.3f} x {line['rival']}" if line["ratio"] else ""
    target = f"(target {line['target']})" if line["target"] else ""
    target += f" (target {line['target_us']} us)" if "target_us" in line else ""
    times = ", ".join(f"{who} {median:.1f}" for who, (_, median, _) in line["times_us"].items())
    return f"{line['name']:<28} {figure}  {ratio:<28} {target:<14} us: {times}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m kernels.bench", description="Our kernels beside their rivals.")
    parser.add_argument("--only", default=",".join(TABLES), help=f"some of {','.join(TABLES)}")
    parser.add_argument("--json", type=Path, help="write all figures here")
    parser.add_argument("--plots", type=Path, help="write HTML plots into this folder")
    arguments = parser.parse_args()
    wanted = arguments.only.split(",")
    if unknown := [name for name in wanted if name not in TABLES]:
        parser.error(f"--only {','.join(unknown)}: must be of {', '.join(TABLES)}")
    if not torch.cuda.is_available():
        print(f"No NVIDIA GPU here, so none of this can be measured: {', '.join(wanted)}.", file=sys.stderr)
        print("What a CPU can do: python -m pytest tests/kernels checks every kernel in the interpreter.", file=sys.stderr)
        return 1
    if arguments.plots:  # looked for before the measuring, and only then: plotly is not needed to measure
        from kernels.plots import write_plots
    result = {
        "device": torch.cuda.get_device_name(),
        "torch": torch.__version__,
        "triton": triton.__version__,
        "date": datetime.date.today().isoformat(),
        "command": "python -m kernels.bench " + shlex.join(sys.argv[1:]),
        "flush": FLUSHED_BY,
        "rows": [],
    }
    print(f"{result['device']}, torch {result['torch']}, triton {result['triton']}", flush=True)
    for name in wanted:
        for line in TABLES[name]():
            result["rows"].append(line)
            if name == "copy":  # both roofs, for whoever draws a roofline
                result["copy_gb_s"] = round(line["bytes_moved"] / line["latency_ms"] / 1e6, 1)
                result["matmul_tflops"] = round(matmul_tflops(), 1)
            print(told(line), flush=True)
            if arguments.json:
                arguments.json.write_text(json.dumps(result, indent=1) + "\n")
    if arguments.plots:
        write_plots(result, arguments.plots)
    return 0


if __name__ == "__main__":
    sys.exit(main())
