"""Sources, files of records, archive files, reports and tokens of strangers: read or refused with one sentence."""

import contextlib
import io
import json
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spoiling import ANY_JSON, changed_bytes, changed_json

from grader.course import Course
from grader.course.archive import Archive
from grader.faults import NotGradable
from grader.judge.gpu import carried
from grader.report import Diagnosis, Listing, Points, Report, Verdict
from grader.sandbox.session import reading
from grader.source import check_source
from labs import load
from tabs.page.identity import Identities

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


def packed(**files):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
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


@given(changed_bytes(packed(**{carried.REQUEST: json.dumps(REQUEST), "random.json": json.dumps(WHY)})))
def test_a_changed_file_of_records(data):
    unpacked(data)


@given(changed_json(json.loads(REPORT.to_json())) | changed_json(json.loads(REPORT.to_json(packed=True))) | ANY_JSON)
def test_a_report_is_read_or_refused(data):
    with contextlib.suppress(ValueError):
        Report.from_json(json.dumps(data))


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    directory = tmp_path_factory.mktemp("archive")
    with Course(directory, lab_ids=lambda: (LAB,)) as course:
        attempt = course.submit(user="ada", lab_id=LAB, source="x = 1", mode="check")
        kept = Archive(course.settings.archive)
        yield kept, attempt, kept._path("submissions", attempt).read_bytes()


@given(data=st.data())
def test_an_archive_file_is_read_or_set_aside(archive, data):
    archive, attempt, real = archive
    spoilt = data.draw(changed_bytes(real) | ANY_JSON.map(lambda item: json.dumps(item).encode()))
    for kind in ("submissions", "ends"):
        path = archive._path(kind, attempt)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(spoilt)

    archive.submission(attempt)
    archive.end(attempt)


@given(st.text(max_size=80) | changed_bytes(TOKEN.encode()).map(lambda data: data.decode("latin-1")) | ANY_JSON)
def test_a_token_is_ours_or_nobodys(token):
    user = IDENTITIES.read(token)

    assert user is None or token == TOKEN
