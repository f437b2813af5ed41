"""A mistake is an edit of a right answer: where it is made, what is refused, and that every lab's can be made."""

import ast

import pytest

from grader.report import Verdict
from labs import lab_ids, load
from labs.mistake import Change, Edit, Entry, made, read

LABS = lab_ids()
FEWEST = 8
BASE = """\
\"\"\"Right.\"\"\"

def sums(x):
    total = 0
    for each in x:
        total = total + each
    for each in x:
        print(each)
    return total
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "honest").mkdir()
    (tmp_path / "honest" / "plain.py").write_text(BASE, encoding="utf-8")
    return tmp_path


def entry(*edits, base="honest/plain.py"):
    return Entry(name="lost", verdict="wrong_answer", what="Loses one.", diagnosis="is lost", base=base, edits=edits)


def test_a_line_is_replaced_with_its_indentation(folder):
    mistake = made(entry(Edit("total = total + each", "total = each")), folder)

    assert mistake.source == BASE.replace("total + each", "each")
    assert mistake.changes == (Change(6, 6, "        total = total + each", "        total = each"),)
    assert (mistake.name, mistake.verdict, mistake.diagnosis, mistake.base) == (
        "lost",
        "wrong_answer",
        "is lost",
        "honest/plain.py",
    )


def test_lines_that_are_there_only_to_find_the_place_are_no_part_of_the_change(folder):
    old = """
        for each in x:
            print(each)
        """
    new = """
        for each in x:
            each = 2 * each
            print(each)
        """

    mistake = made(entry(Edit(old, new)), folder)

    assert mistake.source == BASE.replace("        print(each)", "        each = 2 * each\n        print(each)")
    assert mistake.changes == (Change(8, 8, "", "        each = 2 * each"),)


def test_the_closing_quotes_show_the_margin(folder):
    old = """
                    total = total + each
                for each in x:
                """
    new = """
                    total = total + each
                    print(total)
                for each in x:
                """

    assert "        total = total + each\n        print(total)\n    for" in made(entry(Edit(old, new)), folder).source


def test_what_is_taken_away_is_told_by_the_line_that_stands_in_its_place(folder):
    mistake = made(entry(Edit("total = 0", ""), Edit("return total", "return 0")), folder)

    assert mistake.changes == (Change(4, 4, "    total = 0", ""), Change(8, 8, "    return total", "    return 0"))
    assert mistake.source.splitlines()[4 - 1] == "    for each in x:"


@pytest.mark.parametrize(
    ("edits", "said"),
    [
        ([Edit("for each in x:", "for each in x[1:]:")], "stand in it 2 times, expected once"),
        ([Edit("for every in x:", "pass")], "stand in it 0 times, expected once"),
        ([Edit("total", "sum")], "stand in it 0 times"),
        ([Edit("", "pass")], "old='' finds no place"),
        ([Edit("total = 0", "total = 0")], "expected other lines"),
        ([Edit("total = 0", "total = 1"), Edit("\ntotal = 0\nfor each in x:\n", "pass")], "two edits change line 4"),
        ([Edit("\n    total = 0\n  for each in x:\n    ", "pass")], "none left of the closing ones"),
        ([], "expected at least one"),
    ],
    ids=["twice", "never", "part_of_a_line", "nothing", "no_change", "overlap", "left_of_the_margin", "none"],
)
def test_an_edit_that_cannot_be_made_is_refused(folder, edits, said):
    with pytest.raises(ValueError, match=said):
        made(entry(*edits), folder)


def test_a_base_that_is_not_there_is_refused(folder):
    with pytest.raises(ValueError, match="base='honest/none.py' is no file of the lab"):
        made(entry(Edit("a", "b"), base="honest/none.py"), folder)


def test_a_file_tells_its_mistake_by_its_name_and_its_docstring(tmp_path):
    path = tmp_path / "refused__by_torch.py"
    path.write_text('"""Lets torch do it.\n\nDiagnosis: not allowed\n"""\n', encoding="utf-8")

    mistake = read(path)

    assert (mistake.name, mistake.verdict, mistake.what) == ("by_torch", "refused", "Lets torch do it.")
    assert (mistake.diagnosis, mistake.base, mistake.changes) == ("not allowed", "", ())


@pytest.mark.parametrize(("name", "text"), [("by_torch.py", "Diagnosis: no"), ("refused__by_torch.py", "It is refused.")])
def test_a_file_that_does_not_tell_is_refused(tmp_path, name, text):
    (tmp_path / name).write_text(f'"""{text}"""\n', encoding="utf-8")

    with pytest.raises(ValueError, match="expected <verdict>__<name>.py, and a line 'Diagnosis: …'"):
        read(tmp_path / name)


@pytest.mark.parametrize("lab_id", LABS)
def test_a_labs_mistakes_can_be_made(lab_id):
    folder = load(lab_id)

    assert len(folder.mistakes) >= FEWEST
    for mistake in folder.mistakes:
        ast.parse(mistake.source)
        assert mistake.verdict in set(Verdict) - {Verdict.PASSED}, mistake.name
        assert mistake.what and mistake.diagnosis and "\n" not in mistake.what, mistake.name


@pytest.mark.parametrize("lab_id", LABS)
def test_a_labs_edits_are_of_right_answers_and_stand_where_they_are_said_to_be(lab_id):
    folder = load(lab_id)
    right = {"solution.py", *(f"honest/{path.name}" for path in folder.honest)}
    for mistake in (mistake for mistake in folder.mistakes if mistake.base):
        lines, base = mistake.source.splitlines(), (folder.path / mistake.base).read_text(encoding="utf-8").splitlines()
        mended, moved = list(lines), 0
        for change in reversed(mistake.changes):
            wrong = change.wrong.splitlines()
            assert lines[change.first - 1 : change.first - 1 + len(wrong)] == wrong, mistake.name
            mended[change.first - 1 : change.first - 1 + len(wrong)] = change.right.splitlines()
            moved += 1

        assert mistake.base in right
        assert moved and mended == base, mistake.name


def test_two_mistakes_of_one_name_are_refused(monkeypatch):
    import labs.lab00_roof.mistakes as told

    monkeypatch.setattr(told, "MISTAKES", (*told.MISTAKES, told.MISTAKES[0]))
    with pytest.raises(ValueError, match=f"two mistakes are named {told.MISTAKES[0].name}"):
        len(load.__wrapped__("lab00_roof").mistakes)
