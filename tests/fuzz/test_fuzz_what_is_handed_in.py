"""Sources, files of records, archive files, reports and tokens of strangers: read or refused with one sentence."""

import contextlib
import hashlib
import io
import json
import zipfile

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from spoiling import ANY_JSON, changed_bytes, changed_json

from grader.course import Course, attempts
from grader.course.answers import Answered
from grader.course.archive import KINDS, Archive
from grader.course.gradebook import tables
from grader.course.gradebook.book import Book
from grader.course.gradebook.times import write_time
from grader.course.roles import INSTRUCTOR
from grader.course.store import attempt_rows, reports
from grader.faults import NotGradable
from grader.judge.gpu import carried
from grader.report import Diagnosis, Listing, Points, Report, Verdict
from grader.sandbox.session import reading
from grader.source import check_source
from labs import load
from tabs.page.identity import Identities
from tests.grader.course.by_hand import end_by_hand

LAB = "lab02_safe_softmax"
SOURCE = load(LAB).solution.encode()
REQUEST = {"lab": LAB, "mode": "check", "prediction": None, "target": "sm_90", "seed": bytes(32).hex()}
WHY = {"fault": {"stage": "run", "error_type": "E", "text": "t", "line": 3, "raw": ""}, "ending": None}
REPORT = Report(
    lab=LAB,
    title="t",
    mode="check",
    device="d",
    verdict=Verdict.PASSED,
    diagnosis=Diagnosis(sentence="s"),
    points=Points(),
    cases=(),
    listings=(Listing(kernel="k", target="sm_90", ptx="p"),),
)
IDENTITIES = Identities(b"sixteen bytes and more")
TOKEN = IDENTITIES.issue("ada").token


@given(st.binary(max_size=300) | changed_bytes(SOURCE[:600]) | st.text(max_size=200) | ANY_JSON)
def test_a_source_is_read_or_refused(source):
    try:
        text = check_source(source)
    except NotGradable as refusal:
        assert len(str(refusal)) < 300
        return
    with contextlib.suppress(reading.BadSyntax):
        reading.parse(text)


def packed(kind=zipfile.ZIP_DEFLATED, **files):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", kind) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return made.getvalue()


def unpacked(data):
    try:
        request, recorded = carried.unpack(data, "sm_90")
    except NotGradable as refusal:
        assert len(str(refusal)) < 300
    else:
        assert request.folder.id == LAB or recorded


@given(changed_json(REQUEST) | ANY_JSON)
def test_a_file_of_records_with_any_request(request):
    unpacked(packed(**{carried.REQUEST: json.dumps(request)}))


@given(changed_json(WHY) | ANY_JSON)
def test_a_file_of_records_with_any_reason(why):
    names = [f"{case.name}.json" for case in load(LAB).lab.cases]

    unpacked(packed(**{carried.REQUEST: json.dumps(REQUEST)}, **dict.fromkeys(names, json.dumps(why))))


@given(data=st.data())
def test_a_file_of_records_with_any_record(record_bytes, data):
    blob = data.draw(changed_bytes(record_bytes))

    unpacked(packed(**{carried.REQUEST: json.dumps(REQUEST)}, **{"random.record": blob}))


PACKED = [
    packed(kind, **{carried.REQUEST: json.dumps(REQUEST), "random.json": json.dumps(WHY)})
    for kind in (zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
]


@given(st.sampled_from(PACKED).flatmap(changed_bytes))
def test_a_changed_file_of_records(data):
    unpacked(data)


@given(changed_json(json.loads(REPORT.to_json())) | changed_json(json.loads(REPORT.to_json(packed=True))) | ANY_JSON)
def test_a_report_is_read_or_refused(data):
    with contextlib.suppress(ValueError):
        Report.from_json(json.dumps(data))


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """A course, and of each kind of archive file one with its fields."""
    with Course(tmp_path_factory.mktemp("archive"), lab_ids=lambda: (LAB,)) as course:
        attempt = course.submit(user="ada", lab_id=LAB, source="x = 1", mode="submit")
        end_by_hand(course, attempt)
        course.instructor(INSTRUCTOR).import_roster("student_id,last_name\n1,Lovelace\n")
        course.instructor(INSTRUCTOR).set_rules({"labs": {LAB: {"weights": {"hidden": 1}}}})
        course.instructor(INSTRUCTOR).override(LAB, "1", 3, comment="seen")
        course.learner("ada").note(attempt, "odd")
        course.keep_answers({"scale": Answered(True, 2)}, user="hf:ada")
        course.keep_replies([(1, "task", "mark", True)], user="hf:ada")
        kept = Archive(course.settings.archive)
        real = [(kind, name, kept._read(kind, name)) for kind in KINDS for name in kept.ids(kind)]
        yield course, kept, real


def read_back(course, archive, kind, name):
    """What a file says, put to the use that it is for; nothing of it stays."""
    if kind == "events":
        event = archive.event(name)
        if event is not None:
            Book().apply(event)
            with course._engine.connect() as connection:
                tables.merge(connection, event)
        return event
    handed_in, end = archive.submission(name), archive.end(name)
    if handed_in is not None:
        with course._engine.connect() as connection:
            connection.execute(sa.delete(reports).where(reports.c.attempt == name))
            connection.execute(sa.delete(attempt_rows).where(attempt_rows.c.id == name))
            attempts.add(connection, handed_in, end)
            row = connection.execute(sa.select(attempt_rows).where(attempt_rows.c.id == name)).one()
            assert write_time(row.created)
    return handed_in if kind == "submissions" else end


@given(data=st.data())
def test_an_archive_file_is_of_use_or_set_aside(archive, data):
    """Cut or edited, its checksum made to fit or not."""
    course, archive, real = archive
    kind, name, fields = data.draw(st.sampled_from(real))
    path = archive._path(kind, name)
    whole = path.read_bytes()
    of_old = {key: value for key, value in fields.items() if key not in ("format", "sha256")}
    edited = changed_json(of_old).map(lambda item: with_checksum(json.dumps(item).encode()))
    path.write_bytes(data.draw(edited | edited | changed_bytes(whole) | ANY_JSON.map(lambda item: json.dumps(item).encode())))
    try:
        read_back(course, archive, kind, name)
    finally:
        path.write_bytes(whole)


def with_checksum(body):
    return b'{"format": 3, "sha256": "%s", ' % hashlib.sha256(body[1:]).hexdigest().encode() + body[1:]


def test_an_archive_file_that_is_right_is_of_use(archive):
    course, archive, real = archive

    assert all(read_back(course, archive, kind, name) is not None for kind, name, _ in real)


@given(st.text(max_size=80) | changed_bytes(TOKEN.encode()).map(lambda data: data.decode("latin-1")) | ANY_JSON)
def test_a_token_is_ours_or_nobodys(token):
    user = IDENTITIES.read(token)

    assert user is None or token == TOKEN
