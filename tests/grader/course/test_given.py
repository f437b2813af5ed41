"""A setting that is wrong is told in one sentence that names it, and no password is in any sentence."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from grader.course import Course, alone, given, places, roles
from grader.course.logs import start_logging
from grader.course.refusal import Refusal, refusals
from grader.course.settings import Settings
from grader.faults import NotGradable
from tabs.page import surroundings
from tabs.page.identity import Identities

ROOT = Path(__file__).parents[3]
PASSWORD = "s3cretpw"
SPANS = ("GRADER_HEARTBEAT_S", "GRADER_DEAD_AFTER_S", "GRADER_POLL_S", "GRADER_OVERRUN_S")


def one_sentence(refused):
    said = str(refused.value)
    assert said.endswith(".") and "\n" not in said and len(said) < 500
    assert PASSWORD not in said
    return said


@pytest.mark.parametrize("name", SPANS)
@pytest.mark.parametrize("text", ["abc", "0", "-1", "nan", "inf", "1e9", "2 s", "٣,٥"])
def test_a_span_of_time_that_is_none(monkeypatch, tmp_path, name, text):
    monkeypatch.setenv(name, text)

    with pytest.raises(NotGradable) as refused:
        Settings.read(tmp_path)

    assert one_sentence(refused).startswith(f"{name}=")


def test_an_empty_setting_is_as_if_it_were_not_there(monkeypatch, tmp_path):
    for name in (*SPANS, "GRADER_WORKERS", "GRADER_ARCHIVE", "GRADER_INSTRUCTORS"):
        monkeypatch.delenv(name, raising=False)
    without = Settings.read(tmp_path)
    for name in (*SPANS, "GRADER_WORKERS", "GRADER_ARCHIVE", "GRADER_INSTRUCTORS"):
        monkeypatch.setenv(name, "")
    assert Settings.read(tmp_path) == without
    monkeypatch.delenv("GRADER_DB_URL", raising=False)
    by_default = Settings.read()
    monkeypatch.setenv("GRADER_DB_URL", "")
    assert Settings.read() == by_default


def test_who_is_alive_is_not_taken_for_dead(monkeypatch, tmp_path):
    monkeypatch.setenv("GRADER_HEARTBEAT_S", "10")

    with pytest.raises(NotGradable, match="at least twice GRADER_HEARTBEAT_S=10"):
        Settings.read(tmp_path)


@pytest.mark.parametrize("text", ["x", "-1", "1.5", "9" * 30, "513", "٣", "0x2", " 2"])
def test_a_number_of_processes_that_is_none(monkeypatch, tmp_path, text):
    """As many as are asked for are started: a slip of the finger must not be."""
    monkeypatch.setenv("GRADER_WORKERS", text)

    with pytest.raises(NotGradable) as refused:
        Settings.read(tmp_path)

    assert one_sentence(refused).startswith("GRADER_WORKERS=")


ADDRESSES = [
    f"mysql://u:{PASSWORD}@127.0.0.1/x",
    f"foo://u:{PASSWORD}@127.0.0.1/x",
    f"postgresql+asyncpg://u:{PASSWORD}@127.0.0.1:9/x",
    f"postgresql://u:{PASSWORD}/@x#:y@127.0.0.1:9/x",
    f"postgresql://u:{PASSWORD}@127.0.0.1:port/x",
    f"postgresql://u@127.0.0.1:9/x?password={PASSWORD}",
    f"postgresql://u@127.0.0.1:9/x?sslpassword={PASSWORD}",
    f"://{PASSWORD}",
    "sqlite://",
    "sqlite:///:memory:",
]


@pytest.mark.parametrize("url", ADDRESSES)
def test_an_address_of_no_database_of_ours(monkeypatch, url):
    monkeypatch.setenv("GRADER_DB_URL", url)

    with pytest.raises(NotGradable) as refused:
        Settings.read()

    assert "database's address" in one_sentence(refused)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
@pytest.mark.parametrize("host", ["127.0.0.1:9", "nohost.invalid"])
def test_a_database_that_does_not_answer(monkeypatch, tmp_path, caplog, scheme, host):
    monkeypatch.setenv("GRADER_DB_URL", f"{scheme}://u:{PASSWORD}@{host}/x")
    monkeypatch.setenv("GRADER_ARCHIVE", str(tmp_path))

    with pytest.raises(Refusal) as refused, refusals():
        Course()

    assert "***@" in one_sentence(refused)
    assert PASSWORD not in caplog.text


@pytest.mark.parametrize("place", ["/nonexistent/folder/log", "/", "/proc/x"])
def test_a_log_that_cannot_be_written(monkeypatch, place):
    monkeypatch.setenv("GRADER_LOG", place)

    with pytest.raises(NotGradable) as refused:
        start_logging()

    assert one_sentence(refused).startswith(f"GRADER_LOG={place!r} cannot be written")


def test_a_key_that_is_too_short_or_cut(monkeypatch, tmp_path):
    """Of a full disk a file of no bytes is left."""
    monkeypatch.setenv("GRADER_IDENTITY_KEY", "short")
    with pytest.raises(NotGradable, match="GRADER_IDENTITY_KEY holds 5 bytes"):
        Identities.from_environment(tmp_path / "identity.key")
    monkeypatch.delenv("GRADER_IDENTITY_KEY")
    (tmp_path / "identity.key").write_bytes(b"")
    with pytest.raises(NotGradable, match="identity.key holds 0 bytes"):
        Identities.from_environment(tmp_path / "identity.key")
    (tmp_path / "folder").mkdir()
    for place in (tmp_path / "folder", tmp_path / "identity.key" / "below", Path("/proc/x/identity.key")):
        with pytest.raises(NotGradable) as refused:
            Identities.from_environment(place)
        assert "cannot be read or made" in one_sentence(refused)


@pytest.mark.parametrize("text", ["abc", "", "0", "-1", "65536", "9" * 4000, "٣", "80 80"])
def test_a_port_that_is_none(monkeypatch, text):
    monkeypatch.setenv("GRADIO_SERVER_PORT", text)

    with pytest.raises(SystemExit) as ended:
        surroundings.fit()

    assert str(ended.value).startswith("error: GRADIO_SERVER_PORT=")


def test_what_gradio_ends_in_a_traceback_over_is_mended_or_said():
    for name in ("::1", "[::1]"):
        environment = {"GRADIO_SERVER_NAME": name}
        assert surroundings.fit(environment) == "[::1]"
        assert environment == {"PATH": os.defpath}
    assert surroundings.fit({"GRADIO_SERVER_NAME": "0.0.0.0"}) is surroundings.fit({}) is None

    for proxy in ("ALL_PROXY", "https_proxy"):
        with pytest.raises(SystemExit, match=f"error: {proxy} names a SOCKS proxy"):
            surroundings.fit({proxy: "socks5h://127.0.0.1:9"})
    surroundings.fit({"HTTPS_PROXY": "http://127.0.0.1:9"})


@pytest.mark.parametrize("text", ["0", "no", "Off", " off", "false"])
def test_a_switch_that_is_neither_on_nor_off(monkeypatch, text):
    monkeypatch.setenv("GRADER_COUNTERS", text)

    with pytest.raises(NotGradable, match="GRADER_COUNTERS=.* must be on or off"):
        Settings.read()


@pytest.mark.parametrize("text", ["ada; grace", "ada grace", "<b>", "hf:", "@ada", "ada@uni.example", "openid:"])
def test_a_list_of_instructors_that_names_nobody(text):
    with pytest.raises(NotGradable, match="GRADER_INSTRUCTORS names .* no account's name; commas"):
        roles.listed(f"eve, {text}")


@pytest.mark.process
def test_what_is_kept_is_for_nobody_elses_eyes(tmp_path):
    """Anybody with an account on the machine could read the database: sources, the roster, its codes to join by."""
    roster = tmp_path / "roster.csv"
    roster.write_text("student_id,last_name\n1,Lovelace\n")
    place = tmp_path / "state" / "of" / "the service"
    environment = {**os.environ, "GRADER_DB_URL": str(place)}
    command = [sys.executable, "-m", "grader", "class", "roster", str(roster)]
    subprocess.run(command, env=environment, check=True, umask=0, capture_output=True)

    made = list(place.rglob("*"))
    assert {path.name for path in made} >= {"grader.db", "archive", "events"}
    assert [path for path in (place, *made) if stat.S_IMODE(path.stat().st_mode) & 0o077] == []


def test_a_setting_that_is_none_is_named_with_the_one_that_was_meant():
    found = given.unknown({"GRADER_INSTRUCTOR": "ada", "GRADER_WORKER": "2", "GRADER_WORKERS": "2", "HOME": "/"})

    assert "GRADER_INSTRUCTOR (GRADER_INSTRUCTORS?)" in found and "GRADER_WORKER (GRADER_WORKERS?)" in found
    assert given.unknown({"GRADER_LOG": "", "GRADIO_SERVER_PORT": "1"}) == ""


def test_every_setting_that_is_read_has_a_name():
    read = set()
    for path in (*(ROOT / "grader").rglob("*.py"), *(ROOT / "tabs").rglob("*.py"), ROOT / "app.py"):
        read |= set(re.findall(r"\bGRADER_[A-Z_]+\b", path.read_text(encoding="utf-8")))
    of_files = {f"GRADER_{name}" for name in given.OF_FILES.split()}

    assert read - of_files == given.NAMES - of_files
    table = set(re.findall(r"^\| `(GRADER_\w+)` \|", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.M))
    assert table == given.NAMES - of_files


@pytest.mark.parametrize("name", ["GRADER_DB_URL", "GRADER_ARCHIVE"])
def test_a_folder_whose_name_is_no_text(monkeypatch, tmp_path, name):
    """As a disk of another system has them, and every name beyond ASCII in a locale that is not UTF-8."""
    monkeypatch.setenv("GRADER_DB_URL", str(tmp_path))
    monkeypatch.setenv(name, str(tmp_path / "\udcc3"))

    with pytest.raises(NotGradable) as refused:
        Settings.read()

    assert "\\udcc3" in one_sentence(refused) and "LC_ALL=C.UTF-8" in str(refused.value)


@pytest.mark.parametrize("lacking", ["locks", "archive"])
def test_a_machine_that_may_write_nowhere(monkeypatch, tmp_path, lacking):
    """A user without a home over code that is not theirs, with a database elsewhere."""
    (tmp_path / "no folder").touch()
    home, archive = tmp_path / "home", tmp_path / "archive"
    if lacking == "locks":
        home = tmp_path / "no folder" / "home"
    else:
        archive = tmp_path / "no folder" / "archive"
    monkeypatch.setattr(places, "home", lambda: home)
    monkeypatch.setenv("GRADER_DB_URL", f"postgresql://grader:{PASSWORD}@db.example/grader")
    monkeypatch.setenv("GRADER_ARCHIVE", str(archive))

    with pytest.raises(NotGradable) as refused:
        alone.require_folder(Settings.read())

    assert one_sentence(refused).startswith(str(tmp_path / "no folder")) and "XDG_STATE_HOME" in str(refused.value)


@pytest.mark.process
def test_a_database_that_a_command_cannot_have_is_no_fault_of_a_submission(tmp_path):
    (tmp_path / "grader.db").mkdir()

    for command in (("archive", "verify"), ("class", "dump"), ("instructor-token",)):
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "grader", *command],
            cwd=ROOT,
            env=os.environ | {"GRADER_DB_URL": str(tmp_path), "GRADER_LOG": ""},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

        assert (done.returncode, done.stdout) == (3, "")
        last = done.stderr.splitlines()[-1]
        assert last.startswith("error: ") and "unable to open database file" in last and "submission" not in last


@pytest.mark.process
def test_the_command_says_it_in_one_line(tmp_path):
    environment = os.environ | {"GRADER_DB_URL": ADDRESSES[3], "GRADER_LOG": ""}

    done = subprocess.run(
        [sys.executable, "-m", "grader", "worker"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60
    )

    assert done.returncode not in (0, 75) and done.stdout == ""
    assert done.stderr.startswith("error: The database's address") and done.stderr.count("\n") == 1
