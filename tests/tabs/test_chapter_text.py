"""What stands on the tabs beside the figures: objectives, links, citations, and figures in prose that the models computed."""

from __future__ import annotations

import re
from urllib.parse import urlparse

import pytest

from labs import lab_ids
from tabs.chapter import landing, memory, normalization, precision, progress, references, similarity
from tabs.chapter.quiz import questions


def test_the_landing_tab_names_what_the_chapter_builds_on_and_every_lab(monkeypatch):
    text = landing._PROSE + landing._ladder()

    assert landing.CHAPTER_4 in text and "You need" in text
    assert "131,072 tokens are 32 GiB" in text and "32 heads 1 TiB" in text.replace("\n", " ")
    assert text.count("?tab=labs&amp;lab=lab") == len(lab_ids())


def test_there_are_five_objectives_each_with_a_question_and_a_lab():
    rows = progress.objectives()

    assert [row["number"] for row in rows] == [1, 2, 3, 4, 5, None]
    assert all(row["quiz"] for row in rows)
    assert all(row["labs"] for row in rows)
    assert [lab["id"] for lab in rows[-1]["labs"]] == ["lab09_fp8_kv", "lab10_nvfp4_kv"]
    assert not any(
        lab["id"] == "lab11_sliding_window" for row in rows for lab in row["labs"]
    )  # optional: not in the way of "all"


# One for each section, which asks for what follows from it.
TRANSFER = ["split", "tens", "halves", "scales", "behind", "quarter", "computed", "lanes"]


def test_questions_have_one_right_answer_and_a_reason_for_each():
    asked = questions()

    assert [one.id for one in asked if not one.transfer] == ["shape", "hundred", "online", "e2m1", "bytes", "faster", "skipped"]
    assert [one.id for one in asked if one.transfer] == TRANSFER
    right = {one.id: [answer.text for answer in one.answers if answer.right] for one in asked}
    assert all(len(found) == 1 for found in right.values())
    assert all(answer.why for one in asked for answer in one.answers) and all(one.show or one.transfer for one in asked)
    assert right["shape"] == ["[seq_len, seq_len]"] and right["e2m1"] == ["7"] and right["bytes"] == ["256 MiB"]
    e2m1 = next(one for one in asked if one.id == "e2m1")
    assert [answer.text for answer in e2m1.answers] == ["6", "7", "8", "15"]
    assert "0.5, 1, 1.5, 2, 3, 4, 6" in e2m1.answers[1].why
    assert right["halves"] == ["1.27"] and right["scales"] == ["4.125"] and right["computed"] == ["36 of 64"]


@pytest.mark.parametrize(
    ("prose", "facts"),
    [
        pytest.param(similarity._PROSE, ["4,096"], id="similarity"),
        pytest.param(
            normalization._PROSE,
            ["148", "2.69 \\cdot 10^{43}", "11.09", "88.72", "sum earlier", "0.88", "999.5"],
            id="normalization",
        ),
        pytest.param(precision._BITS_PROSE, ["65,504", "448", "| 6 |"], id="bits"),
        pytest.param(precision._QUANTISE_PROSE, ["4.5 bits", "3.56", "2.00", "9.5%", "14%", "Benchmarks"], id="quantise"),
        pytest.param(memory._PROSE, ["32 MiB", "32 GiB", "1,024 GiB", "linear", "as\nmuch as the naive"], id="memory"),
    ],
)
def test_the_chapters_facts_stand_in_the_prose(prose, facts):
    assert [fact for fact in facts if fact not in prose] == []


def test_links_are_well_formed_and_papers_are_those_they_name():
    works = references.WORKS
    urls = [work.url for work in works] + [url for _, _, url, _ in references.VIDEOS] + [landing.CHAPTER_4]

    for url in urls:
        parts = urlparse(url)
        assert parts.scheme == "https" and "." in parts.netloc and parts.path, url
    for work in works:
        assert not work.arxiv or work.url == f"https://arxiv.org/abs/{work.arxiv}"
    cited = {work.arxiv for work in works}
    assert {"1706.03762", "2205.14135", "2307.08691", "1805.02867", "2209.05433"} <= cited
    assert "Vaswani et al., NeurIPS 2017, arXiv:1706.03762" in references.page()
    assert "Milakov and Gimelshein, 2018, arXiv:1805.02867" in references.page()
    assert "Tillet et al., MAPL 2019." in references.page()
    assert all(work.cited[0].isalpha() and str(work.year) in work.cited for work in works)


@pytest.mark.parametrize("work", references.WORKS, ids=lambda work: work.key)
def test_bibtex_is_whole(work):
    assert re.match(r"@(misc|inproceedings)\{[a-z0-9]+,\n", work.bibtex)
    assert work.bibtex.count("{") == work.bibtex.count("}")
    assert len({other.key for other in references.WORKS}) == len(references.WORKS)
    for field in ("title", "author", "year", "url"):
        assert f"\n  {field} = {{" in work.bibtex
