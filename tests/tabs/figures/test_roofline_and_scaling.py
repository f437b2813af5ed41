"""The roofline's arithmetic and what it takes from what was measured; the spread of q · k with head_dim."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from tabs.figures import roofline, scaling

ROOF = roofline.Roof("card", 1000, 100)


def test_the_two_roofs_meet_at_the_ridge():
    assert roofline.ridge(ROOF) == 100
    assert roofline.attainable(ROOF, 1) == 1
    assert roofline.attainable(ROOF, 100) == roofline.attainable(ROOF, 1e6) == 100


def test_decode_does_one_flop_a_byte_for_each_head_in_fp16():
    assert [roofline.decode_intensity(group) for group in (1, 4, 8)] == [1, 4, 8]
    assert roofline.prefill_intensity(4096) == 2048


def test_documents_give_roof_and_points_and_rubbish_gives_none(tmp_path):
    row = {"name": "decode", "flops": 2e9, "bytes_moved": 1e9, "latency_ms": 1.0}
    rows = [row, {"name": "x"}, 3, {**row, "latency_ms": 0}, {**row, "flops": "many"}]
    (tmp_path / "a.json").write_text(json.dumps({"device": "NVIDIA H100 80GB HBM3", "copy_gb_s": 3000, "rows": rows}))
    (tmp_path / "b.json").write_text("{cut short")
    (tmp_path / "c.json").write_text("[]")

    found = roofline.documents(tmp_path)

    assert roofline.measured_roofs(found) == [roofline.Roof("NVIDIA H100 80GB HBM3", 3000.0, 989.0, True)]
    assert roofline.kernel_points(found, device="NVIDIA H100 80GB HBM3") == [roofline.Point("decode", 2.0, 2.0)]
    assert roofline.measured_roofs([{"device": "unknown", "copy_gb_s": 1}, {}]) == []


@pytest.mark.parametrize("document", roofline.documents(), ids=lambda document: document["device"])
@pytest.mark.parametrize("width", [310, 460, 640])
def test_every_kind_of_kernel_is_named_beside_its_marks_and_nothing_is_written_over_another(js, document, width):
    marks = [
        {
            "name": at.name,
            "x": 48 + (width - 60) * (np.log10(at.intensity) + 1) / 6.4,
            "y": 316 - 300 * (np.log10(at.tflops) + 1.3) / 4.7,
        }
        for at in roofline.kernel_points([document], device=document["device"])
    ]

    boxes = js("RoofSays.named(marks, width)", marks=marks, width=width)

    assert {box["text"] for box in boxes} == {"decode", "decode FP8", "decode NVFP4", "prefill", "scores", "softmax"}
    taken = boxes + [{"x": at["x"] - 6, "y": at["y"] - 6, "width": 12, "height": 12} for at in marks]
    for box in boxes:
        assert box["x"] >= 48 and box["x"] + box["width"] <= width
        over = [
            b
            for b in taken
            if all(box[a] < b[a] + b[s] and b[a] < box[a] + box[s] for a, s in (("x", "width"), ("y", "height")))
        ]
        assert over == [box]


@pytest.mark.parametrize("one", scaling.spreads(), ids=lambda one: f"d{one.head_dim}")
def test_the_root_of_d_takes_the_spread_back_to_one(one):
    assert one.std == pytest.approx(np.sqrt(one.head_dim), rel=0.1)
    assert one.std_scaled == pytest.approx(1, rel=0.1)
    assert one.shares.sum() == pytest.approx(1) and one.shares_scaled.sum() == pytest.approx(1)
    assert one.largest_weight_scaled < 0.2


def test_unscaled_softmax_becomes_a_lookup():
    weights = [one.largest_weight for one in scaling.spreads()]
    assert weights[0] < 0.5 and weights[-1] > 0.9


BENCH = {
    "device": "NVIDIA H100 80GB HBM3",
    "copy_gb_s": 2964.0,
    "matmul_tflops": 700.0,
    "rows": [
        {"name": "decode bf16 32 x 16384", "flops": 1.7e10, "bytes_moved": 2.1e9, "latency_ms": 0.75, "ratio": 1.02},
        {"name": "prefill 128 full 4096", "flops": 5.5e11, "bytes_moved": 1.3e8, "latency_ms": 0.9},
        {"name": "softmax 65536", "gb_s": 2400.0},
    ],
}


def test_points_are_those_of_the_roofs_own_device():
    other = {**BENCH, "device": "NVIDIA A10G"}

    first = roofline.drawn([BENCH, other])[0]

    assert (first["device"], first["bandwidth_gb_s"], first["peak_tflops"]) == ("NVIDIA H100 80GB HBM3", 2964.0, 700.0)
    assert [kernel["name"] for kernel in first["kernels"]] == ["decode bf16 32 x 16384", "prefill 128 full 4096"]
    assert first["kernels"][1]["tflops"] == pytest.approx(5.5e11 / 0.9e-3 / 1e12)


def test_the_data_sheet_stands_for_what_was_not_measured():
    assert roofline.roofs([]) == list(roofline.SHEETS)
    assert [roof.device for roof in roofline.roofs([BENCH, BENCH])] == [
        "NVIDIA H100 80GB HBM3",
        *(sheet.device for sheet in roofline.SHEETS if sheet.device != "H100 SXM"),
    ]


def timed(*, roof_gb_s=300.0, peak_tflops=121.0, tflops=2.0):
    return SimpleNamespace(roof_gb_s=roof_gb_s, peak_tflops=peak_tflops, tflops=tflops, bandwidth_gb_s=200.0)


def test_own_attempts_stand_under_the_roof_of_the_newest():
    attempts = [
        ("no peak", "y", timed(peak_tflops=0.0)),
        ("newest", "NVIDIA L4", timed()),
        ("elsewhere", "NVIDIA T4", timed()),
        ("a copy", "NVIDIA L4", timed(tflops=0.0)),
        ("older", "NVIDIA L4", timed(roof_gb_s=290.0, tflops=1.0)),
    ]

    mine = roofline.own(attempts)

    assert (mine["device"], mine["bandwidth_gb_s"], mine["peak_tflops"]) == ("NVIDIA L4", 300.0, 121.0)
    assert mine["attempts"] == [
        {"name": "newest", "intensity": 10.0, "tflops": 2.0},
        {"name": "older", "intensity": 5.0, "tflops": 1.0},
    ]
    assert roofline.own(attempts[:1]) is roofline.own([]) is None
