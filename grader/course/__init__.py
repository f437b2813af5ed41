"""Who submitted what and when: queue, store, limits, archive. Nothing that it has acknowledged is ever lost.

from grader.course import Course, Supervisor
"""

from grader.course.course import Course
from grader.course.quota import Quota, QuotaReached
from grader.course.states import AttemptNotFound, State, Status
from grader.course.store import StoreError
from grader.course.supervise import Supervisor

__all__ = ["AttemptNotFound", "Course", "QuotaReached", "Quota", "State", "Status", "StoreError", "Supervisor"]
