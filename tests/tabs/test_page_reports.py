"""A report as HTML: everything in its order, nothing unescaped, nothing about hidden cases."""

from __future__ import annotations

import dataclasses
import math
import re
from html.parser import HTMLParser

import pytest
import reports

import labs
from grader import wording
from grader.report import Diagnosis, Fact, Picture, Report, Verdict
from tabs.labs.headline import marks
from tabs.labs.hints import LABELS
from tabs.labs.report import render
from tabs.labs.report_roofline import roofline

POISON = '<img src=x onerror="alert(1)">&</pre></details><script>alert(2)</script>'
ALLOWED_TAGS = {"article", "header", "section", "h2", "h3", "p", "span", "b", "i", "ul", "li", "dl", "dt", "dd", "div"}
ALLOWED_TAGS |= {"pre", "code", "details", "summary", "table", "tr", "th", "td", "figure", "figcaption", "svg", "rect", "text"}
ALLOWED_TAGS |= {"line", "circle", "button", "a"}


class Outline(HTMLParser):
    """Tags, text and whether every tag was closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags, self.text, self.open, self.attributes = [], "", [], []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [(tag, *attribute) for attribute in attributes]
        if tag != "rect":
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.mark.parametrize("name", reports.ALL)
def test_every_report_is_well_formed(name):
    outline = Outline(render(reports.ALL[name](), reports.HINTS))

    assert not outline.open
    assert set(outline.tags) <= ALLOWED_TAGS
    assert "None" not in outline.text


def test_reads_in_the_order_of_a_letter():
    text = Outline(render(reports.wrong(), reports.HINTS)).text

    order = (
        "Wrong",
        "The old sum is not",
        "What went wrong",
        "Error ÷ limit",
        "Why it happens",
        "Cases",
        "Points",
        "Bytes moved",
        "Memory",
        "Anatomy",
    )
    places = [text.index(word) for word in (*order, "What it printed")]
    assert places == sorted(places)


def test_bandwidth_stands_between_roof_and_reference():
    text = Outline(render(reports.timed())).text

    assert "3012 GB/s" in text
    assert "2515 GB/s, 84% of the roof" in text
    assert "0.94× the speed of the reference" in text


def test_what_bounds_it_comes_first_and_the_roofline_says_itself_in_words():
    html = render(reports.computing())
    text = Outline(html).text

    assert text.index("On the way to the tensor cores") < text.index("GB/s") < text.index("operations a byte")
    assert "memory allows 12080 TFLOP/s and arithmetic 990 (data sheet). Yours reaches 476, 48% of the lower one" in text
    assert 'aria-label="Roofline. At 4097 operations a byte' in html


@pytest.mark.parametrize(
    ("yours", "reference", "peak"),
    [(476.1, 498.0, 989.5), (0.01, 3.0, 989.5), (3.6, 3.6, 0.0), (900.0, 90.0, 989.5)],
    ids=["beside", "far_below", "no_data_sheet", "above_the_reference"],
)
def test_points_of_a_roofline_stand_where_their_numbers_say(yours, reference, peak):
    svg = roofline(wording.Roofline(intensity=100.0, yours=yours, reference=reference, memory=295.0, peak=peak))
    points = {kind: float(y) for kind, y in re.findall(r'<circle class="(\w+)" cx="[\d.]+" cy="([\d.]+)"', svg)}
    decade = _decade_height(svg)

    assert points["yours"] - points["reference"] == pytest.approx(decade * math.log10(reference / yours), abs=0.2)
    assert all(24 <= y <= 200 for y in points.values())
    labels = [float(y) for y in re.findall(r'<text class="(?:yours|reference)" x="[\d.]+" y="([\d.]+)"', svg)]
    assert abs(labels[0] - labels[1]) >= 14.9
    assert ('class="roof peak"' in svg) is bool(peak)


def _decade_height(svg):
    """Pixels of a factor of ten, from the numbers at the left."""
    ticks = [(float(y), float(text)) for y, text in re.findall(r'x="38.0" y="([\d.]+)" text-anchor="end">([^<]+)<', svg)]
    (low, least), (high, most) = ticks[0], ticks[-1]
    return (low - high) / math.log10(most / least)


def test_what_the_gpu_counted_is_folded_with_our_kernels_beside_it():
    html = render(reports.timed())
    text = Outline(html).text

    assert '<details class="counted"><summary>Counted by the GPU</summary>' in html
    assert '<th scope="row">memory busy</th><td>74%</td><td>78%</td>' in html
    assert '<th scope="row">waiting for shared memory or special functions</th><td>23%</td><td>–</td>' in html
    assert "From and to memory 542 MiB: 1.06× what the ideal kernel moves." in text


def test_why_nothing_is_counted_is_one_line_and_what_is_not_timed_says_nothing():
    assert f'<p class="note">{reports.NOT_COUNTED}</p>' in render(reports.computing())
    assert "ounted by the GPU" not in render(reports.computing())
    assert "ounters" not in render(reports.passed())


def test_words_of_a_counter_are_no_markup():
    stall = dataclasses.replace(reports.COUNTERS.stalls[0], reason="<b>loads</b>")
    counters = dataclasses.replace(reports.COUNTERS, stalls=(stall,))

    assert "<b>loads" not in render(dataclasses.replace(reports.timed(), counters=counters, counters_note="<i>"))
    assert "<i>" not in render(dataclasses.replace(reports.computing(), counters_note="<i>"))


def test_a_timing_without_operations_has_no_roofline():
    timing = dataclasses.replace(reports.timed().timing, tflops=0.0)

    assert wording.roofline(timing) is None
    assert "roofline" not in render(dataclasses.replace(reports.timed(), timing=timing))


@pytest.mark.parametrize("lab_id", [lab_id for lab_id in labs.lab_ids() if lab_id != "lab00_roof"])
def test_every_lab_but_the_copy_counts_operations_for_its_roofline(lab_id):
    performance = labs.load(lab_id).lab.performance

    assert performance.flops(performance.case.sizes) > 1e6


def test_listings_are_folded_below_the_anatomy():
    html = render(reports.computing())

    assert html.count('<pre class="code"') == 3
    assert "<details><summary>SASS of <code>_softmax_kernel</code>" in html
    assert "<details open" not in html
    assert html.index("occupancy") < html.index("PTX of") < html.index("SASS is made by Submit")
    assert '<span class="keyword">    mov.u32</span> %r9, %ctaid.x;' in html
    assert '<span class="comment"><button type="button" data-line="15">// line 15</button></span>' in html


def test_a_line_is_told_once_and_cases_that_never_ran_are_not_counted():
    unread = dataclasses.replace(
        reports.syntax_error(), diagnosis=Diagnosis(sentence="Line 3: no", line=3, detail="In 1 of 3.")
    )
    elsewhere = dataclasses.replace(reports.wrong(), diagnosis=Diagnosis(sentence="it is wrong", line=3, detail="In 1 of 3."))

    assert "Line 3 of your file" not in render(unread)
    assert "In 1 of 3" not in render(unread)
    line = '<button type="button" data-line="3">Line 3</button>'
    assert f'<h2 class="diagnosis">It is wrong.</h2><p class="aside">{line} of your file. In 1 of 3.</p>' in render(elsewhere)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("the function f is missing", "The function f is missing."),
        ("out was never written.", "out was never written."),
        ("", ""),
    ],
)
def test_a_sentence_begins_with_a_capital_and_a_name_as_it_is_written(text, said):
    assert wording.sentence(text) == said


def test_sign_and_word_go_with_the_colour():
    html = render(reports.wrong())

    assert '<p class="verdict wrong"><span aria-hidden="true">✗</span> Wrong</p>' in html
    assert re.search(r'class="chip right"[^>]*><span aria-hidden="true">✓</span> ones', html)


def test_nan_tiles_carry_the_letters():
    few = dataclasses.replace(reports.not_finite().cases[-1], error_map=((None, 0.5), (2.5, 1500.0)))
    report = dataclasses.replace(reports.not_finite(), cases=(few,))

    texts = re.findall(r"<text[^>]*>([^<]*)</text>", render(report))

    assert texts == ["NaN", "0.5", "2.5", "999+"]


def test_a_hidden_case_shows_its_name_and_sign_alone():
    secret = reports.secret_case()

    html = render(dataclasses.replace(reports.wrong(), cases=(secret,)))

    assert "hidden_case" in html
    assert 'title="failed"' in html
    for trace in ("SECRET", "7654321", "NaN", "0.123", "118 MiB", "942 MiB", "0.98765"):
        assert trace not in html


def _poisoned(value):
    """The same report with every free text replaced by an attempt to break out."""
    if isinstance(value, Verdict) or value in ("visible", "hidden", "hostile", "check", "submit"):
        return value
    if isinstance(value, str):
        return POISON
    if isinstance(value, dict):
        return {POISON if isinstance(inner, str) else key: _poisoned(inner) for key, inner in value.items()}
    if isinstance(value, tuple):
        return tuple(_poisoned(inner) for inner in value)
    if dataclasses.is_dataclass(value):
        return dataclasses.replace(value, **{f.name: _poisoned(getattr(value, f.name)) for f in dataclasses.fields(value)})
    return value


@pytest.mark.parametrize("name", reports.ALL)
def test_no_text_of_a_submission_becomes_markup(name):
    report: Report = _poisoned(reports.ALL[name]())
    report = dataclasses.replace(report, diagnosis=Diagnosis(sentence=POISON, name=POISON, line=3, detail=POISON))

    outline = Outline(render(report, (POISON, POISON)))

    assert set(outline.tags) <= ALLOWED_TAGS
    assert not [attribute for attribute in outline.attributes if attribute[1].startswith("on")]
    assert POISON in outline.text


def test_hints_open_one_by_one():
    html = render(reports.wrong(), reports.HINTS)

    places = [html.index(label) for label in LABELS]
    assert places == sorted(places)
    assert html.count("<details>", places[0] - 60, places[3]) == len(reports.HINTS)
    places = [html.index(hint[:20]) for hint in reports.HINTS]
    assert places == sorted(places)
    assert "hints" not in render(reports.passed())


def test_what_a_wrong_kernel_used_is_folded_and_a_right_one_s_is_not():
    folded = '<details class="used"><summary>Bytes, memory, anatomy and listings</summary>'

    assert html_after(folded, render(reports.wrong())).index("Anatomy") > 0
    assert folded not in render(reports.passed())


def html_after(mark, html):
    assert mark in html
    return html.partition(mark)[2]


def test_what_the_diagnosis_says_is_not_said_again():
    said = "The values are not right in 3 of 3 rows"
    report = dataclasses.replace(reports.wrong(), diagnosis=Diagnosis(sentence=f"{said}."), anatomy=(), anatomy_note=f"{said}.")

    assert render(report).count(said) == 1


def test_what_several_cases_have_in_common_is_said_once():
    one = reports.wrong().cases[2]
    names = ("a", "b", "c", "d")
    told = ("`m` is too small.", "`m` is too small.", "Row 3 is zero.", "`m` is too small.")
    cases = tuple(dataclasses.replace(one, name=name, sentence=what) for name, what in zip(names, told, strict=True))
    html = render(dataclasses.replace(reports.wrong(), cases=cases))

    assert html.count("<code>m</code> is too small.") == 1
    assert '<span class="note">In 3 cases.</span>' in html
    assert html.count("Row 3 is zero.") == 1
    assert re.findall(r"<summary><code>(\w)</code>", html) == ["a", "b", "d", "c"]
    assert html.count("<details open>") == 1


def test_a_map_that_is_wrong_everywhere_is_one_sentence():
    failing = dataclasses.replace(reports.wrong().cases[2], error_map=tuple((2.0,) * 16 for _ in range(16)))
    html = render(dataclasses.replace(reports.wrong(), cases=(failing,)))

    assert "All 256 tiles of <code>out</code> are wrong in ascending." in html
    assert "<svg" not in html


def test_lines_are_pressed_in_prose_and_in_listings_and_code_is_left_alone():
    report = dataclasses.replace(
        reports.computing(), diagnosis=Diagnosis(sentence="program 1 loads at line 14 what `line 9` stored at line 9")
    )
    html = render(report)

    assert html.count('data-line="14"') == 1
    assert html.count('data-line="9"') == 1
    assert '<button type="button" data-line="15">// line 15</button>' in html
    source = "\n".join(f"text {number}" for number in range(1, 12))
    assert marks(report, source) == [{"line": 9, "text": "text 9"}]


def test_a_worst_row_that_is_right_is_not_shown_as_what_went_wrong():
    case = next(case for case in reports.wrong().cases if case.error and case.limit)
    told = [
        render(dataclasses.replace(reports.wrong(), cases=(dataclasses.replace(case, error=error),))) for error in (9.0, 0.0)
    ]

    assert ["worst row" in html for html in told] == [True, False]


def test_points_have_one_decimal_at_most():
    for make in reports.ALL.values():
        for number in re.findall(r"<b>([\d.]+)</b> of ([\d.]+)", render(make())):
            assert all(len(part.partition(".")[2]) <= 1 for part in number)


def test_parts_that_were_not_run_say_why():
    text = Outline(render(reports.not_finite())).text

    assert "run by Submit" in text
    assert "needs a GPU" in text
    assert "not stated" in text


def test_backticks_set_code_and_nothing_else():
    report = dataclasses.replace(reports.passed(), diagnosis=Diagnosis(sentence="Use `tl.exp(x <b>)`, not 2**x."))

    assert "Use <code>tl.exp(x &lt;b&gt;)</code>, not 2**x." in render(report)


def test_a_trace_goes_into_the_page_as_data_and_only_with_the_source():
    trace = {"case": "ones", "launches": [{"kernel": POISON}]}
    report = dataclasses.replace(reports.wrong(), trace=trace)
    html = render(report, source=POISON)
    outline = Outline(html)

    assert set(outline.tags) <= ALLOWED_TAGS
    assert outline.text.count("alert(1)") == 2
    assert "watch-place" in html
    assert "watch-place" not in render(report) and "watch-place" not in render(reports.wrong(), source="x")


FACTS = (Fact(given="row 1", got="0", expected="0.5"),)
EYE = tuple(tuple(float(row == column) for column in range(6)) for row in range(4))


def weights(**cells):
    """Weights that differ in the cells named "row_column"."""
    got = [list(row) for row in EYE]
    for place, value in cells.items():
        row, column = map(int, place.removeprefix("at_").split("_"))
        got[row][column] = value
    picture = Picture(kind="weights", title="Weights", got=tuple(map(tuple, got)), expected=EYE)
    return dataclasses.replace(reports.wrong(), facts=FACTS, picture=picture)


def test_the_tile_in_which_weights_differ_is_outlined_in_both_pictures():
    html = render(weights(at_1_1=0.5, at_2_4=None))

    assert html.count('<rect class="differs" x="10" y="10" width="40" height="20"/>') == 2
    assert "Outlined, since there they differ: rows 1 to 2, columns 1 to 4." in html


def test_where_no_weight_differs_nothing_is_outlined():
    html = render(weights(at_1_2=0.0009, at_1_1=1.009))

    assert "differs" not in html and "Outlined" not in html


def test_codes_that_are_decoded_as_something_else_are_marked():
    names = ("0x0", "0x1", "0x2")
    picture = Picture(kind="table", title="Codes", got=((0.0, 0.25, None),), expected=((0.0, 0.5, None),), columns=names)
    html = render(dataclasses.replace(reports.wrong(), facts=FACTS, picture=picture))

    assert html.count('<td class="differs">') == 1
    assert '<td class="differs">✗ 0.25</td><td>NaN</td>' in html
