"""The house stands: imports point one way, and every room and every lab is named where a newcomer looks."""

import ast
import functools
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OURS = ("app", "tabs", "grader", "labs", "kernels")

# Who may import whom, of our own; the longest prefix that fits a module is its room.
SPOKEN = ("grader.sandbox.protocol", "grader.sandbox.process.ending", "grader.report", "grader.trace")
MAY_IMPORT = {
    "app": ("tabs", "grader.course", "grader.streams"),
    "kernels": ("kernels",),
    "labs": ("labs", "kernels"),
    "labs.__main__": ("labs",),
    "labs.check": ("labs", "grader.judge", "grader.report"),
    "labs.mutants": (
        "labs",
        "labs.check",
        "grader.judge",
        "grader.report",
        "grader.faults",
        "grader.sandbox.process",
        "grader.sandbox.repairs.place",
    ),
    "grader.gradescope": ("grader.report", "grader.wording"),
    # the standard library alone, as the three below
    "grader.client": ("grader.report", "grader.faults", "grader.source", "grader.typed"),
    "grader.remote": ("grader.client", "grader.report", "grader.faults", "grader.terminal"),
    "grader.notebook": ("grader.client", "grader.report", "grader.faults", "grader.terminal"),
    "grader.class_commands": ("grader.course", "grader.faults"),
    "grader": ("grader.report", "grader.trace", "grader.typed", "grader.faults", "grader.wording", "grader.terminal_pen"),
    "grader.__main__": ("grader", "labs", "tabs.figures.watch_page"),  # a page of its own; nothing else imports upwards
    "grader.terminal": ("grader.report", "grader.wording", "grader.terminal_pen", "grader.terminal_facts"),
    "grader.terminal_grading": ("grader",),
    "grader.terminal_show": ("labs",),
    # judge: one case, its verdict, its diagnosis; then an attempt, then what runs it on a CPU and on a GPU
    "grader.judge": (
        "grader.judge",
        "grader.sandbox",
        "grader.report",
        "grader.trace",
        "grader.faults",
        "grader.source",
        "labs",
        "kernels",
    ),
    "grader.judge.verdict": ("grader.judge.verdict", "grader.report", "grader.sandbox.protocol", "labs"),
    "grader.judge.case": ("grader.judge.case", "grader.judge.verdict", *SPOKEN, "labs"),
    "grader.judge.diagnosis": (
        "grader.judge.diagnosis",
        "grader.judge.case",
        "grader.judge.verdict",
        *SPOKEN,
        "labs",
        "kernels",
    ),
    "grader.judge.binaries": ("grader.judge.binaries", "grader.sandbox", "grader.report", "grader.faults", "grader.source"),
    # sandbox: what both sides speak; then walls, what one call may touch, the record; then what runs it; then who starts it
    "grader.sandbox": ("grader.sandbox.protocol", "grader.report", "grader.faults"),
    "grader.sandbox.walls": ("grader.sandbox.walls", "grader.faults"),
    "grader.sandbox.record": ("grader.sandbox.record",),
    "grader.sandbox.case": ("grader.sandbox.case", "grader.sandbox.record", "grader.sandbox.protocol", "grader.trace"),
    "grader.sandbox.interpret": (
        "grader.sandbox.interpret",
        "grader.sandbox.case",
        "grader.sandbox.record",
        "grader.sandbox.protocol",
    ),
    "grader.sandbox.recording": (
        "grader.sandbox.recording",
        "grader.sandbox.case",
        "grader.sandbox.record",
        "grader.sandbox.protocol",
    ),
    "grader.sandbox.repairs": ("grader.sandbox.repairs",),
    "grader.sandbox.session": (
        "grader.sandbox.session",
        "grader.sandbox.repairs",
        "grader.sandbox.interpret",
        "grader.sandbox.recording",
        "grader.sandbox.case",
        "grader.sandbox.record",
        "grader.sandbox.protocol",
    ),
    "grader.sandbox.replay": ("grader.sandbox.replay", "grader.sandbox.record", "grader.sandbox.protocol"),
    "grader.sandbox.process": ("grader.sandbox.process", "grader.sandbox.walls", "grader.sandbox.protocol", "grader.faults"),
    "grader.sandbox.selftest": (
        "grader.sandbox.selftest",
        "grader.sandbox.process",
        "grader.sandbox.replay",
        "grader.sandbox.interpret",
        "grader.sandbox.walls",
        "grader.sandbox.protocol",
        "grader.faults",
    ),
    "grader.course": (
        "grader.course",
        "grader.judge",
        "grader.sandbox.selftest.walls",
        "grader.report",
        "grader.wording",  # of a log that people read
        "grader.streams",
        "grader.faults",
        "grader.source",
        "grader.typed",
        "labs",
    ),
    "tabs": ("tabs", "grader.course", "grader.report", "grader.wording", "grader.faults", "grader.source", "labs"),
    "tabs.page": ("tabs.page", "tabs.figures", "grader.course", "grader.faults"),
    "tabs.chapter": (
        "tabs.chapter",
        "tabs.figures",
        "tabs.page",
        "tabs.load_tabs",  # which section comes next, and what the tabs are called
        "grader.course",
        "labs",
    ),
    "tabs.labs": (
        "tabs.labs",
        "tabs.page",
        "tabs.figures",  # their states: a diagnosis links to the one that shows it
        "tabs.load_tabs",  # the sections' titles
        "grader.course",
        "grader.report",
        "grader.wording",
        "grader.faults",
        "grader.source",
        "labs",
    ),
    "tabs.figures": ("tabs.figures",),
    "tabs.class_room": (
        "tabs.class_room",
        "tabs.web",
        "tabs.page",
        "grader.course",
        "grader.report",
        "grader.wording",
        "grader.faults",
        "labs",
    ),
    # the HTTP interface: without gradio, so that nothing of the page can be meant by it
    "tabs.web": (
        "tabs.web",
        "tabs.page.identity",
        "tabs.labs.states",  # the page's words for an attempt in work
        "tabs.labs.hints",
        "grader.course",
        "grader.gradescope",
        "grader.report",
        "grader.faults",
        "grader.source",
        "labs",
    ),
}


@functools.cache
def modules():
    found = []
    for room in OURS:
        files = [ROOT / "app.py"] if room == "app" else sorted((ROOT / room).rglob("*.py"))
        for path in files:
            *folders, name = parts = path.relative_to(ROOT).with_suffix("").parts
            if not {"mistakes", "honest"} & set(folders) and name not in ("starter", "solution"):
                found.append((".".join(part for part in parts if part != "__init__"), path))
    return tuple(found)


@functools.cache
def imported(path):
    return tuple(_imported(path))


def _imported(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import hides its room"
            if node.module in (
                "tabs",
                "grader",
                "grader.sandbox",
                "grader.judge",
            ):  # what is taken from a package of rooms is a room's
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
            else:
                yield node.module


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


def test_nothing_that_the_product_runs_imports_the_contributors_check():
    users = {module for module, path in modules() if [name for name in imported(path) if within(name, ["labs.check"])]}

    assert {module for module in users if not within(module, ["labs.check", "labs.mutants"])} == {"labs.__main__"}


@pytest.mark.parametrize("module", ["app", *sorted(found[0] for found in modules() if found[0] != "app")])
def test_only_the_page_imports_gradio(module):
    path = dict(modules())[module]
    if module == "app" or (within(module, ["tabs"]) and not within(module, ["tabs.figures", "tabs.web"])):
        return
    assert not [name for name in imported(path) if within(name, ["gradio"])]


@pytest.mark.process
@pytest.mark.parametrize(
    ("imports", "never"),
    [
        ("grader, grader.judge, grader.course, labs, kernels", "gradio"),
        ("grader.course.grading_process", "torch"),
        ("tabs.figures", "torch"),
        ("tabs.figures", "gradio"),
        ("tabs.web.app", "gradio"),
    ],
)
def test_a_room_loads_nothing_it_need_not(imports, never):
    code = f"import {imports}, sys; sys.exit({never!r} in sys.modules)"

    assert subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=ROOT).returncode == 0


def test_no_room_is_on_a_way_back_to_itself():
    """Between rooms, packages with files of their own apart, arrows make no circle."""
    rooms = {room for room in MAY_IMPORT if room.count(".") >= 2}
    arrows = {room: set() for room in rooms}
    for module, path in modules():
        room = next((room for room in rooms if within(module, [room])), None)
        for name in imported(path) if room else ():
            arrows[room] |= {other for other in rooms - {room} if within(name, [other])}
    while arrows:
        ends = {room for room, to in arrows.items() if not to & arrows.keys()}
        assert ends, f"a circle among {sorted(arrows)}"
        for room in ends:
            del arrows[room]


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


@pytest.mark.parametrize("path", sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]), ids=lambda path: path.name)
def test_documents_can_be_read_aloud(path):
    """No sentence has more than forty words; tables and code are no sentences."""
    prose = re.sub(r"^(---\n.*?\n---\n|```.*?```)", "", path.read_text(encoding="utf-8"), flags=re.S | re.M)
    lines = [line for line in prose.splitlines() if not line.startswith(("|", "#"))]
    sentences = re.split(r"(?<=[.!?:;])\s+|\n\n|\n- ", "\n".join(lines))

    assert not [sentence for sentence in sentences if len(sentence.split()) > 40]


def test_every_setting_that_is_read_stands_in_readme():
    sources = [path.read_text(encoding="utf-8") for room in ("grader", "tabs") for path in (ROOT / room).rglob("*.py")]
    read = {name for text in sources for name in re.findall(r"(?<=\")(?:GRADER|OAUTH)_[A-Z_]+(?=\")", text)}
    rows = set(re.findall(r"^\| `([A-Z_]+)` \|", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.M))

    assert {"GRADER_DB_URL", "GRADER_LOG", "GRADER_IDENTITY_KEY"} <= read
    assert read <= rows
    assert {row for row in rows if row.startswith("GRADER_")} <= read


@pytest.mark.process  # numpy asks the machine when it is first imported
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
