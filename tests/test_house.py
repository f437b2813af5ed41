"""The house stands: imports point one way, and every room and every lab is named where a newcomer looks."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OURS = ("app", "tabs", "grader", "labs", "kernels")

# Who may import whom, of our own; the longest prefix that fits a module is its room.
MAY_IMPORT = {
    "app": ("tabs", "grader.course"),
    "kernels": ("kernels",),
    "labs": ("labs", "kernels"),
    "grader": ("grader.report", "grader.faults", "grader.wording", "grader.terminal_pen"),
    "grader.__main__": ("grader", "labs"),
    "grader.terminal": ("grader.report", "grader.wording", "grader.terminal_pen", "grader.terminal_facts"),
    "grader.terminal_grading": ("grader",),
    "grader.terminal_show": ("labs",),
    "grader.judge": ("grader.judge", "grader.sandbox", "grader.report", "grader.faults", "grader.source", "labs", "kernels"),
    "grader.sandbox": ("grader.sandbox", "grader.report", "grader.faults"),
    "grader.course": (
        "grader.course",
        "grader.judge",
        "grader.sandbox.selftest.walls",
        "grader.report",
        "grader.faults",
        "grader.source",
        "labs",
    ),
    "tabs": ("tabs", "grader.course", "grader.report", "grader.wording", "grader.faults", "grader.source", "labs"),
    "tabs.figures": ("tabs.figures",),
}


def modules():
    for room in OURS:
        files = [ROOT / "app.py"] if room == "app" else sorted((ROOT / room).rglob("*.py"))
        for path in files:
            parts = path.relative_to(ROOT).with_suffix("").parts
            if not {"mistakes", "honest", "starter", "solution"} & set(parts):
                yield ".".join(part for part in parts if part != "__init__"), path


def imported(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import hides its room"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names if node.module == "grader")


def within(module, rooms):
    return any(module == room or module.startswith(room + ".") for room in rooms)


@pytest.mark.parametrize(("module", "path"), [pytest.param(*found, id=found[0]) for found in modules()])
def test_imports_point_one_way(module, path):
    room = max((room for room in MAY_IMPORT if within(module, [room])), key=len)
    allowed = MAY_IMPORT[room]
    ours = [name for name in imported(path) if within(name, OURS) and name != "grader"]
    wrong = [name for name in ours if not within(name, allowed) and not within(allowed_parent(name, allowed), allowed)]

    assert not wrong, f"{module} (room {room}) must not import {wrong}"


def allowed_parent(name, allowed):
    """`from grader import report` is seen as grader.report; a name inside an allowed module is that module's."""
    return name.rpartition(".")[0] if within(name.rpartition(".")[0], allowed) else name


@pytest.mark.parametrize("module", ["app", *sorted(found[0] for found in modules() if found[0] != "app")])
def test_only_the_page_imports_gradio(module):
    path = dict(modules())[module]
    if module == "app" or (within(module, ["tabs"]) and not within(module, ["tabs.figures"])):
        return
    assert not [name for name in imported(path) if within(name, ["gradio"])]


@pytest.mark.parametrize(
    ("imports", "never"),
    [
        ("grader, grader.judge, grader.course, labs, kernels", "gradio"),
        ("tabs.figures", "torch"),
        ("tabs.figures", "gradio"),
    ],
)
def test_a_room_loads_nothing_it_need_not(imports, never):
    code = f"import {imports}, sys; sys.exit({never!r} in sys.modules)"

    assert subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=ROOT).returncode == 0


def test_every_room_and_lab_is_named_in_readme_and_design():
    rooms = [
        path.name
        for path in ROOT.iterdir()
        if path.is_dir() and not path.name.startswith(".") and path.name not in ("var", "__pycache__", "shared")
    ]
    labs = [path.parent.name for path in (ROOT / "labs").glob("lab*/lab.py")]
    for document in ("README.md", "DESIGN.md"):
        text = (ROOT / document).read_text(encoding="utf-8")
        missing = [name for name in rooms if f"{name}/" not in text] + [name for name in labs if name not in text]
        assert not missing, f"{document} does not name {missing}"


def test_every_setting_that_is_read_stands_in_readme():
    sources = [path.read_text(encoding="utf-8") for room in ("grader", "tabs") for path in (ROOT / room).rglob("*.py")]
    read = {name for text in sources for name in re.findall(r"(?<=\")(?:GRADER|OAUTH)_[A-Z_]+(?=\")", text)}
    rows = set(re.findall(r"^\| `([A-Z_]+)` \|", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.M))

    assert {"GRADER_DB_URL", "GRADER_LOG", "GRADER_IDENTITY_KEY"} <= read
    assert read <= rows
    assert {row for row in rows if row.startswith("GRADER_")} <= read


def test_defaults_in_readme_are_those_of_the_code(monkeypatch):
    for name in [name for name in os.environ if name.startswith("GRADER_")]:
        monkeypatch.delenv(name)
    from grader.course.settings import Settings

    rows = dict(
        re.findall(r"^\| `(GRADER_\w+_S)` \| ([\d.]+) \|", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.M)
    )
    settings = Settings.read()

    assert len(rows) == 4
    assert {name: float(value) for name, value in rows.items()} == {
        name: getattr(settings, name.removeprefix("GRADER_").lower()) for name in rows
    }
