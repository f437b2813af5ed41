"""Asks DBOS, from two threads at once, to recover the jobs of the workers that are named; takes no job itself.

python -m tests.grader.course.recover_process NAME...
"""

import os
import sys
import threading

from dbos import DBOS

from grader.course import schema
from grader.course.queue import APPLICATION, VERSION, JsonSerializer
from grader.course.settings import Settings
from grader.course.store import open_engine

engine = open_engine(Settings.read().db_url)
DBOS(
    config={
        "name": APPLICATION,
        "system_database_url": schema.database_url(engine),
        "system_database_engine": engine,
        "application_version": VERSION,
        "executor_id": "observer",
        "serializer": JsonSerializer(),
        "use_listen_notify": engine.dialect.name == "postgresql",
        "run_migrations": False,
    }
)
DBOS.listen_queues([])
DBOS.launch()
threads = [threading.Thread(target=DBOS._recover_pending_workflows, args=(sys.argv[1:],)) for _ in range(2)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
os._exit(0)
