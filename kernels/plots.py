"""What the bench measured, drawn against the roof: one HTML file a table, by plotly."""

from pathlib import Path

import plotly.graph_objects as go

COPY = "copy of 1 GiB"


def figure(title: str, lines: list[dict], roof_gb_s: float | None) -> go.Figure:
    """Bars of what was achieved, in GB/s or TFLOP/s, ours and the fastest rival's, and the copy as a line."""
    unit = "tflops" if "tflops" in lines[0] else "gb_s"
    names = [line["name"] for line in lines]
    drawing = go.Figure(go.Bar(name="ours", x=names, y=[line[unit] for line in lines]))
    rivals = [line for line in lines if line["rival"] and line["ratio"]]
    drawing.add_bar(
        name="fastest rival",
        x=[line["name"] for line in rivals],
        y=[line[unit] / line["ratio"] for line in rivals],
        text=[line["rival"] for line in rivals],
    )
    if roof_gb_s and unit == "gb_s":
        drawing.add_hline(y=roof_gb_s, line_dash="dash", annotation_text=f"copy: {roof_gb_s:.0f} GB/s")
    drawing.update_layout(title=title, yaxis_title="GB/s" if unit == "gb_s" else "TFLOP/s", barmode="group")
    return drawing


def write_plots(result: dict, folder: Path) -> list[Path]:
    """One file for each kind of row in the bench's result (the first word of its name)."""
    folder.mkdir(parents=True, exist_ok=True)
    roof = next((line["gb_s"] for line in result["rows"] if line["name"] == COPY), None)
    tables: dict[str, list[dict]] = {}
    for line in result["rows"]:
        tables.setdefault(line["name"].split()[0], []).append(line)
    written = []
    for table, lines in tables.items():
        if table != "copy":
            path = folder / f"{table}.html"
            figure(f"{table}, {result['device']}, {result['date']}", lines, roof).write_html(path, include_plotlyjs=True)
            written.append(path)
    return written
