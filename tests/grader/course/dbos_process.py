"""What a process's housekeeping asks of DBOS, in a process that takes no job itself.

python -m tests.grader.course.dbos_process recover NAME    from two threads at once: put the jobs of that grading process back
python -m tests.grader.course.dbos_process sweep SECONDS   forget jobs that ended longer ago; prints how many
"""

import os
import sys
import threading

from dbos import DBOS

from grader.course import fleet, schema
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
action, argument = sys.argv[1:]
if action == "recover":
    threads = [threading.Thread(target=DBOS._recover_pending_workflows, args=([argument],)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
else:
    os.write(1, f"{fleet.sweep(older_than_s=float(argument))}".encode())
os._exit(0)
