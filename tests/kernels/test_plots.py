"""The plots of a bench: a file for each table, our bars as measured, and the roof that bounds that table."""

import json
from pathlib import Path

import pytest

from kernels.plots import figure, write_plots

ROOT = Path(__file__).parents[2]
MEASURED = [*sorted((ROOT / "tabs" / "figures" / "measured").glob("h?00.json")), ROOT / "benchmarks" / "kernels_h200.json"]


@pytest.fixture(params=MEASURED, ids=lambda path: path.stem)
def result(request):
    return json.loads(request.param.read_text(encoding="utf-8"))


def test_there_is_a_file_for_each_table(result, tmp_path):
    written = write_plots(result, tmp_path / "plots")

    expected = {"decode", "prefill", "scores", "softmax"} | ({"backward"} if "flush" in result else set())
    assert {path.stem for path in written} == expected
    assert all(result["device"] in path.read_text(encoding="utf-8") for path in written)


def test_titles_say_how_the_l2_cache_was_emptied(result, tmp_path):
    (path,) = [path for path in write_plots(result, tmp_path) if path.stem == "softmax"]

    said = "L2 emptied by reading" if "flush" in result else "L2 overwritten"
    assert said in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("table, roof", [("prefill", "matmul_tflops"), ("decode", "copy_gb_s")])
def test_bars_are_what_was_measured_under_the_roof_that_bounds_them(result, table, roof):
    lines = [line for line in result["rows"] if line["name"].startswith(table)]

    drawing = figure("", lines, result)

    ours, rival = drawing.data
    line = lines[0]
    work = line["flops"] / 1e12 if table == "prefill" else line["bytes_moved"] / 1e9
    assert ours.y[0] == pytest.approx(work / (line["latency_ms"] / 1e3))
    assert rival.y[0] == pytest.approx(ours.y[0] / line["ratio"])
    assert drawing.layout.shapes[0].y0 == result[roof]
