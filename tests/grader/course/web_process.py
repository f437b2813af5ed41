"""The page's side of a service, as a process that a test can kill. The service's environment says where everything is.

python -m tests.grader.course.web_process serve    a supervised process, whose process id it prints; until killed
python -m tests.grader.course.web_process flood    submits for ever, each id printed once it is acknowledged
"""

import itertools
import os
import sys
import threading

from grader.course import Course, Supervisor, supervise
from grader.course.logs import start_logging
from tests.grader.course.service import FAKE, LAB, UNLIMITED


def serve(course: Course) -> None:
    share = float(os.environ.get("MEMORY_SHARE", supervise.MEMORY_SHARE))
    with Supervisor(course.settings, arguments=("--judge", FAKE), memory_share=share) as supervisor:
        while supervisor.pid is None:
            threading.Event().wait(0.01)
        tell(f"{supervisor.pid}")
        threading.Event().wait()


def flood(course: Course) -> None:
    for number in itertools.count():
        tell(course.submit(user="ada", lab_id=LAB, source=f"seconds 30\npid {os.getpid()}\nnumber {number}", mode="check"))


def tell(line: str) -> None:
    """Written at once and whole: the process may be killed after any line."""
    os.write(1, f"{line}\n".encode())


if __name__ == "__main__":
    start_logging()
    with Course(quota=UNLIMITED, lab_ids=lambda: (LAB,)) as course:
        {"serve": serve, "flood": flood}[sys.argv[1]](course)
