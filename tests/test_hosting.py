"""What docs/hosting.md and hosting/ tell people to do can be done: every file, command, option, setting and metric is there."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from grader.__main__ import _parser
from grader.course.tally import Counted
from tabs.page.exposition import exposition

ROOT = Path(__file__).parents[1]
HOSTING = ROOT / "hosting"
GUIDE = (ROOT / "docs" / "hosting.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
SETTINGS = set(re.findall(r"^\| `(\w+)` \|", README, flags=re.M))
OURS = {"GRADER_DB_PASSWORD", "GRADER_DEVICE"}  # of the compose file and the unit themselves
CONTAINER = re.sub(r"\\\n", " ", (HOSTING / "Containerfile").read_text())
COMPOSE = yaml.safe_load((HOSTING / "compose.yaml").read_text())
UNITS = sorted(HOSTING.glob("*.service"))


pytestmark = pytest.mark.process


def instructions(name):
    return [line.split(maxsplit=1)[1] for line in CONTAINER.splitlines() if line.startswith(name + " ")]


def starts(words):
    """Whether such a command line is one of ours that would be taken."""
    program, *rest = words
    assert Path(program).name in ("python", "python3"), words
    if rest[0] == "app.py":
        shown = subprocess.run([sys.executable, "-c", PARSE, *rest[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
        return shown.returncode == 0
    assert rest[:2] == ["-m", "grader"], words
    return _parser().parse_args(rest[2:]).run is not None


PARSE = """
import ast, sys
tree = ast.parse(open("app.py").read())
options = [call.args[0].value for call in ast.walk(tree) if isinstance(call, ast.Call)
           and getattr(call.func, "attr", "") == "add_argument"]
sys.exit(bool([word for word in sys.argv[1:] if word.startswith("--") and word not in options]))
"""


def test_the_container_copies_everything_that_runs_and_nothing_that_is_not_there():
    sources = [word.rstrip("/") for line in instructions("COPY") for word in line.split()[:-1]]

    assert not [name for name in sources if not (ROOT / name).exists()]
    assert {"app.py", "kernels", "labs", "grader", "tabs", "requirements.txt", "packages.txt"} <= set(sources)


def test_the_container_runs_as_somebody_over_code_that_is_not_theirs():
    names = [line.split()[0] for line in CONTAINER.splitlines() if line and not line.startswith(("#", " "))]

    assert instructions("USER") == ["grader"]
    assert names.index("USER") > max(place for place, name in enumerate(names) if name in ("COPY", "RUN"))
    assert "--uid 1000" in CONTAINER
    assert "--chown" not in CONTAINER


def test_every_file_that_a_step_of_the_container_reads_was_copied_before_it():
    copied, missing = set(), []
    for line in CONTAINER.splitlines():
        if line.startswith("COPY "):
            copied |= {word.rstrip("/") for word in line.split()[1:-1]}
        elif line.startswith("RUN "):
            read = [word for word in shlex.split(line) if re.fullmatch(r"[\w/]+\.(txt|py)|kernels|labs|grader|tabs", word)]
            missing += [word for word in read if word not in copied and word.split("/")[0] not in copied]
            missing += [word for word in read if not (ROOT / word).exists()]
    assert not missing


def test_the_container_starts_what_is_there_and_asks_it_how_it_is():
    assert starts(json.loads(instructions("CMD")[0]))
    health = json.loads(re.search(r"HEALTHCHECK.*?CMD (\[.*\])", CONTAINER)[1])
    compile(health[2], "healthcheck", "exec")
    assert "/health" in health[2]
    assert f":{instructions('EXPOSE')[0]}/" in health[2]
    assert re.search(r"`GRADIO_SERVER_PORT` \| (\d+)", README)[1] == instructions("EXPOSE")[0]


def test_the_compose_file_names_what_is_there():
    services = COMPOSE["services"]
    volumes = [volume.split(":")[0] for service in services.values() for volume in service.get("volumes", ())]

    assert set(volumes) == set(COMPOSE["volumes"])
    for service in services.values():
        assert service["restart"] == "always"
        assert set(service.get("depends_on", ())) <= set(services)
        if "build" in service:
            assert (HOSTING / service["build"]["context"] / service["build"]["dockerfile"]).is_file()
            assert starts(service["command"])
            assert service["read_only"] and "/tmp" in service["tmpfs"]


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_a_unit_starts_what_is_there_again_and_again(unit, tmp_path):
    text = unit.read_text()
    command = re.search(r"^ExecStart=(.*)$", text, flags=re.M)[1]
    where = re.search(r"^WorkingDirectory=(.*)$", text, flags=re.M)[1]

    assert command.startswith(f"{where}/.venv/bin/python")  # as `make setup` lays it
    assert starts(shlex.split(command.replace("${GRADER_DEVICE}", "cpu").replace("%i", "rack3")))
    assert "Restart=always" in text
    if shutil.which("systemd-analyze"):
        installed = tmp_path / unit.name
        installed.write_text(text.replace(f"{where}/.venv/bin/python", sys.executable).replace(where, str(ROOT)))
        done = subprocess.run(["systemd-analyze", "verify", installed], capture_output=True, text=True, check=False)
        assert not [line for line in done.stderr.splitlines() if unit.name.split("@")[0] in line], done.stderr


def test_every_setting_that_is_named_is_one():
    texts = [GUIDE, *(path.read_text() for path in HOSTING.iterdir())]
    named = {name for text in texts for name in re.findall(r"\b(?:GRADER|GRADIO)_[A-Z_]+\b", text)}

    assert named - SETTINGS <= OURS


def test_every_command_of_the_guide_is_taken():
    blocks = "\n".join(re.findall(r"```(.*?)```", GUIDE, flags=re.S))
    code = re.findall(r"`([^`\n]+)`", GUIDE) + re.findall(r"^ *(\S.*)$", blocks, flags=re.M)
    commands = [line for line in code if line.startswith("python -m ")]

    assert len(commands) >= 4
    for line in commands:
        words = shlex.split(line)
        if words[2] == "grader":
            assert starts(words), line
        else:
            assert (ROOT / (words[2].replace(".", "/") + ".py")).is_file(), line
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), flags=re.M)
    assert {line.split("make ")[1].split()[0] for line in code if "make " in line} <= set(targets)


def test_every_file_of_the_guide_is_there_and_every_file_is_in_the_guide():
    named = set(re.findall(r"\bhosting/[\w@.-]*\w", GUIDE))

    assert not [name for name in named if not (ROOT / name).is_file()]
    assert {f"hosting/{path.name}" for path in HOSTING.iterdir()} == named


def test_every_state_of_health_is_in_the_guide():
    source = (ROOT / "grader" / "course" / "course.py").read_text()
    written = re.findall(r'return "([\w ]+)", ', source) + re.findall(r'"state": "([\w ]+)"', source)
    states = {"starting", "not storing", "off", *written}

    assert {"on", "none", "silent", "disk full", "no database"} <= states
    assert not [state for state in states if f"| `{state}` |" not in GUIDE]


def test_dashboard_and_alerts_ask_for_metrics_that_there_are():
    process = {"id": "one", "alive": True, "state": "ready", "counts": {"phases": {"running": 1.0}}}
    health = {"grading": "on", "state": "on", "device": "cuda", "restoring": 0, "processes": [process]}
    exposed = exposition(health, lambda: [Counted("lab02", "check", "cuda", "done", "passed", 1)]).decode()
    known = set(re.findall(r"^(grader_\w+)", exposed, flags=re.M))
    dashboard = json.loads((HOSTING / "grafana.json").read_text())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    alerts = yaml.safe_load((HOSTING / "alerts.yaml").read_text())
    asked += [rule["expr"] for group in alerts["groups"] for rule in group["rules"]]

    assert {name for expression in asked for name in re.findall(r"grader_\w+", expression)} <= known
    assert yaml.safe_load((HOSTING / "prometheus.yaml").read_text())["rule_files"] == ["alerts.yaml"]
    job = yaml.safe_load((HOSTING / "prometheus.yaml").read_text())["scrape_configs"][0]["job_name"]
    assert all(f'job="{job}"' in expression for expression in asked if "up{" in expression)


def test_the_space_is_told_what_the_code_needs():
    front = yaml.safe_load(README.split("---\n")[1])
    pinned = re.search(r"^gradio\[oauth\]==(.*)$", (ROOT / "requirements.txt").read_text(), flags=re.M)[1]

    assert (front["sdk"], front["sdk_version"], front["hf_oauth"]) == ("gradio", pinned, True)
    assert (ROOT / front["app_file"]).is_file()
    assert front["python_version"] in re.search(r"Python (3\.\d+) or (3\.\d+)", README).groups()
