"""The plots of a bench: a file for each table, our bars as measured, and the roof that bounds that table."""

import json
from pathlib import Path

import pytest

from kernels.plots import figure, write_plots

MEASURED = sorted((Path(__file__).parents[2] / "tabs" / "figures" / "measured").glob("h?00.json"))


@pytest.fixture(params=MEASURED, ids=lambda path: path.stem)
def result(request):
    return json.loads(request.param.read_text(encoding="utf-8"))


def test_there_is_a_file_for_each_table(result, tmp_path):
    written = write_plots(result, tmp_path / "plots")

    assert {path.stem for path in written} == {"decode", "prefill", "scores", "softmax"}
    assert all(result["device"] in path.read_text(encoding="utf-8") for path in written)


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
