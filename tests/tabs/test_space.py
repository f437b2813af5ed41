"""A Space, simulated: code that cannot be written, a home of one's own, a disk that is wiped while the archive stays."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.process
ROOT = Path(__file__).parents[2]
LAB = "lab02_safe_softmax"
# the code's mount becomes read-only for this process alone
READ_ONLY = f'mount --bind "{ROOT}" "{ROOT}" && mount -o remount,bind,ro "{ROOT}" && exec "$@"'
START = f"""
import json, sys
from grader.course import Course
from tabs.page.identity import Identities
told = sys.argv[1:]
with Course(lab_ids=lambda: ("{LAB}",)) as course:
    identities = Identities.from_environment()
    user = identities.read(told[0]) if told else identities.issue()
    attempt = told[1] if told else course.submit(user=user.id, lab_id="{LAB}", source="x = 1", mode="check")
    source = course.source(attempt, user=user.id)
    found = dict(token=user.token, attempt=attempt, source=source, archive=str(course.settings.archive))
    print(json.dumps(found | dict(said=course.health()["archive"], database=course.settings.db_url)))
"""


@pytest.fixture
def start(tmp_path):
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("needs root, to mount the code read-only for one process")
    try:
        subprocess.run(["unshare", "--mount", "sh", "-c", READ_ONLY, "sh", "true"], check=True, capture_output=True)
    except subprocess.CalledProcessError:
        pytest.skip("nothing may be mounted here")

    def start(*told, **environment):
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("GRADER_", "XDG_"))}
        command = ["unshare", "--mount", "sh", "-c", READ_ONLY, "sh", sys.executable, "-W", "ignore", "-c", START, *told]
        settings = {"HOME": str(tmp_path), "SPACE_ID": "ada/labs", "PYTHONDONTWRITEBYTECODE": "1", **environment}
        done = subprocess.run(
            command, cwd=tmp_path, env=kept | settings | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return start


def test_nothing_is_written_beside_the_code_and_what_will_be_lost_is_said(start, tmp_path):
    found = start()

    assert found["archive"] == str(tmp_path / ".local/state/attention-labs/archive")
    assert "is lost when this Space restarts or sleeps" in found["said"]


def test_a_wiped_disk_loses_neither_work_nor_who_one_is(start, tmp_path):
    kept = tmp_path / "kept"
    settings = {"GRADER_ARCHIVE": str(kept / "archive"), "GRADER_DB_URL": str(tmp_path / "disk")}
    before = start(**settings)
    shutil.rmtree(tmp_path / "disk")

    after = start(before["token"], before["attempt"], **settings)

    assert after["source"] == before["source"] == "x = 1"
    assert after["token"] == before["token"]
