"""The roster as a CSV file: read whole or not at all, every line that is not right named."""

from __future__ import annotations

import csv
import dataclasses
import io
import re
import unicodedata
from collections.abc import Mapping

from grader.course.gradebook import accounts
from grader.faults import NotGradable

LIMIT = 5_000  # learners
MOST_NAMED = 20  # bad lines in one refusal
FIELD_LIMIT = 200  # characters

# What a column may be called, in lower case, with spaces and underscores alike; Canvas's own gradebook is one such file.
COLUMNS = {
    "student_id": ("student id", "id number", "number"),
    "last_name": ("last name", "surname"),
    "first_name": ("first name", "given name"),
    "name": ("student", "full name"),
    "email": ("e mail", "mail"),
    "section": ("group",),
    "account": ("hugging face", "hf account", "username", "openid"),
    "canvas_id": ("id", "canvas id"),
    "sis_user_id": ("sis user id",),
    "sis_login_id": ("sis login id",),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Student:
    """One line of the roster.

    `account`: whose hand-ins are theirs, where people sign in (`gradebook.accounts`). `code`: elsewhere, what they join with,
    once; made when they are first imported.
    """

    student_id: str
    last_name: str
    first_name: str = ""
    email: str = ""
    section: str = ""
    account: str = ""
    canvas_id: str = ""
    sis_user_id: str = ""
    sis_login_id: str = ""
    code: str = ""

    @property
    def canvas_number(self) -> str:
        """Canvas's own number of them, where the roster has one; empty for what is none."""
        return self.canvas_id if self.canvas_id.isascii() and self.canvas_id.isdigit() else ""

    @property
    def name(self) -> str:
        """ "Lovelace, Ada"."""
        return f"{self.last_name}, {self.first_name}" if self.first_name else self.last_name


def read(text: str) -> list[Student]:
    """The learners of a CSV file (separated by commas, semicolons or tabs; the first line names the columns, behind Excel's
    `sep=;` where there is one).

    Raises:
        NotGradable: nothing may be taken from it; every bad line is named, up to twenty.
    """
    text = text.removeprefix("\ufeff")
    if not text.strip():
        raise NotGradable("The roster is empty; expected a first line with student_id, last_name, first_name, email, section.")
    of_excel = _SEPARATOR.match(text)
    delimiter = of_excel[1] if of_excel else _delimiter(text)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        if of_excel:
            next(rows)
        columns = _columns(next(rows, []))
        found, bad, seen = [], [], dict[str, int]()
        for cells in rows:
            if not any(cell.strip() for cell in cells) or _is_canvas_extra(cells):
                continue
            try:
                if any(cell.strip() for cell in cells[len(columns) :]):  # what is behind a name's comma stands too far
                    many = f"{len(cells)} cells for the {len(columns)} columns of line 1"
                    raise ValueError(f"it has {many}; expected a name with a comma in quotes")
                student = _student(dict(zip(columns, cells, strict=False)))
                key = unicodedata.normalize("NFKC", student.student_id).casefold()
                if key in seen:
                    raise ValueError(f"student_id={student.student_id!r:.40} stands on line {seen[key]} already")
                seen[key] = rows.line_num
                found.append(student)
            except ValueError as error:
                bad.append(f"line {rows.line_num}: {error}")
    except csv.Error as error:
        raise NotGradable(f"Nothing was imported: line {rows.line_num} of the roster is no CSV: {error}.") from error
    if bad:
        more = f"; and {len(bad) - MOST_NAMED} more" if len(bad) > MOST_NAMED else ""
        raise NotGradable(f"Nothing was imported: {'; '.join(bad[:MOST_NAMED])}{more}.")
    if not 0 < len(found) <= LIMIT:
        raise NotGradable(f"Nothing was imported: the roster holds {len(found)} learners; expected 1 to {LIMIT:,}.")
    accounts = [student.account.casefold() for student in found if student.account]
    twice = next((account for account in accounts if accounts.count(account) > 1), None)
    if twice:
        raise NotGradable(f"Nothing was imported: the account {twice!r:.60} stands for two learners.")
    return found


_SEPARATOR = re.compile(r"sep=([,;\t])[,;\t]*(?:\r\n?|\n)")


def _delimiter(text: str) -> str:
    first = text.partition("\n")[0]
    return max(",;\t", key=first.count)


def _columns(header: list[str]) -> list[str]:
    by_name = {alias: name for name, aliases in COLUMNS.items() for alias in (name.replace("_", " "), *aliases)}
    columns = [by_name.get(re.sub(r"[\s_-]+", " ", cell.strip().lower()), "") for cell in header]
    named = [column for column in columns if column]
    twice = next((column for column in named if named.count(column) > 1), None)
    if twice:
        raise NotGradable(f"Nothing was imported: line 1 names the column {twice} twice.")
    if not {"student_id", "sis_user_id", "canvas_id"} & set(named) or not {"last_name", "name"} & set(named):
        raise NotGradable(
            f"Nothing was imported: line 1 is {', '.join(header)!r:.120}; expected the columns student_id and last_name, and "
            "where there are such first_name, email, section, account, canvas_id, sis_user_id, sis_login_id."
        )
    return columns


def _is_canvas_extra(cells: list[str]) -> bool:
    """Canvas's gradebook has a line of points and a learner for tests."""
    return cells[0].strip().casefold() in ("points possible", "student, test")


def _student(cells: Mapping[str, str]) -> Student:
    # one letter is one, whether the file has it whole or with its accent apart: else a second import is of somebody new
    fields = {name: unicodedata.normalize("NFC", cells[name].strip()) for name in cells if name}
    for name, value in fields.items():
        if len(value) > FIELD_LIMIT or not value.isprintable():
            raise ValueError(f"{name}={value[:20]!r} must be printable and at most {FIELD_LIMIT} characters long")
    last, _, first = fields.pop("name", "").partition(",")
    fields.setdefault("last_name", last.strip())
    fields.setdefault("first_name", first.strip())
    fields["student_id"] = fields.get("student_id") or fields.get("sis_user_id") or fields.get("canvas_id") or ""
    if not fields["student_id"]:
        raise ValueError("the student_id is empty")
    if not fields["last_name"]:
        raise ValueError("the last_name is empty")
    email, account = fields.get("email", ""), accounts.kept(fields.get("account", ""))
    if email and not re.fullmatch(r"[^@\s]+@[^@\s]+", email):
        raise ValueError(f"email={email!r:.60} is no address")
    if account and not accounts.KEPT.fullmatch(account):
        raise ValueError(f"account={account!r:.60} is no account's name")
    return Student(**{**fields, "account": account})
