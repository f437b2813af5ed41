"""What the bench measured, drawn against the roof: one HTML file a table, by plotly."""

from pathlib import Path

import plotly.graph_objects as go


def figure(title: str, lines: list[dict], result: dict) -> go.Figure:
    """Bars of what was achieved, ours and the fastest rival's, and the roof as a line: a matrix product in TFLOP/s for prefill
    and backward, a copy in GB/s for all else.
    """
    in_tflops = lines[0]["name"].startswith(("prefill", "backward"))
    achieved = {
        line["name"]: (line["flops"] / 1e3 if in_tflops else line["bytes_moved"]) / line["latency_ms"] / 1e6 for line in lines
    }
    names = [line["name"] for line in lines]
    drawing = go.Figure(go.Bar(name="ours", x=names, y=list(achieved.values())))
    rivals = [line for line in lines if line["rival"] and line["ratio"]]
    drawing.add_bar(
        name="fastest rival",
        x=[line["name"] for line in rivals],
        y=[achieved[line["name"]] / line["ratio"] for line in rivals],
        text=[line["rival"] for line in rivals],
    )
    unit = "TFLOP/s" if in_tflops else "GB/s"
    if roof := result.get("matmul_tflops" if in_tflops else "copy_gb_s"):
        said = f"{'matrix product' if in_tflops else 'copy'}: {roof:.0f} {unit}"
        drawing.add_hline(y=roof, line_dash="dash", annotation_text=said)
    drawing.update_layout(title=title, yaxis_title=unit, barmode="group")
    return drawing


def write_plots(result: dict, folder: Path) -> list[Path]:
    """One file for each kind of row in the bench's result (the first word of its name)."""
    folder.mkdir(parents=True, exist_ok=True)
    tables: dict[str, list[dict]] = {}
    for line in result["rows"]:
        tables.setdefault(line["name"].split()[0], []).append(line)
    written = []
    for table, lines in tables.items():
        if table != "copy":
            path = folder / f"{table}.html"
            flush = result.get("flush", "L2 overwritten")  # older results do not say; the two are not to be compared
            title = f"{table}, {result['device']}, {result['date']}, {flush}"
            figure(title, lines, result).write_html(path, include_plotlyjs=True)
            written.append(path)
    return written
