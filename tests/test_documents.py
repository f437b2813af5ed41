"""What a document names is there: files and folders, links, modules that are run, targets of make.

The changelog is left out, since it speaks of what was.
"""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted(path for path in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")] if path.name != "CHANGELOG.md")
# What a reader names himself (NAME.py, labNN, my_softmax.py), and folders of a running service.
A_BLANK = re.compile(r"NAME|NN|ROOM|FILE|SERVER|[<*{]|^/|^my_|^var/|^archive/$")


def missing_from(text, document, files, make):
    """What a document names and is not there: paths in backticks, links, modules after `python -m`, targets of `make`."""
    text = re.sub(r"https?://[^\s)`]+", "http:", text)
    spoken = [part for code in re.findall(r"```(.*?)```|`([^`]+)`", text, flags=re.S) for part in code if part]
    words = [word for part in spoken for word in re.findall(r"[\w./*<>{}-]+", part)]
    paths = [word for word in words if re.search(r"\w\.(py|js|css|md|toml)$|\w/$", word) and not A_BLANK.search(word)]
    known = {f"/{place}" for file in files for place in (file, *(f"{folder}/" for folder in map(str, Path(file).parents)))}
    missing = [path for path in paths if not any(place.endswith(f"/{path.removeprefix('./')}") for place in known)]
    links = re.findall(r"\]\(([^)#:\s]+)[^):]*\)", text)
    missing += [link for link in links if not (document.parent / link).exists()]
    for module in re.findall(r"python -m ((?!pytest)[a-z]\w*(?:\.\w+)*)", "\n".join(spoken)):
        path = module.replace(".", "/")
        missing += [] if {f"{path}.py", f"{path}/__main__.py"} & files else [f"python -m {module}"]
    return missing + [
        f"make {name}" for name in re.findall(r"^make (\w+)", "\n".join(spoken), re.M) if f"\n{name}:" not in make
    ]


def the_files():
    return {
        path.relative_to(ROOT).as_posix()
        for room in ROOT.iterdir()
        if not room.name.startswith(".")
        for path in within_room(room)
    }


def within_room(room):
    return [path for path in room.rglob("*") if path.is_file()] if room.is_dir() else [room]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_what_a_document_names_is_there(document):
    make = (ROOT / "Makefile").read_text(encoding="utf-8")

    assert missing_from(document.read_text(encoding="utf-8"), document, the_files(), make) == []


def test_what_is_not_there_is_noticed():
    text = "`kernels/roof.py`, `kernels/cellar.py`, [a page](docs/none.md)\n```\nmake app\nmake tea\npython -m labs.tea\n```"

    assert missing_from(text, ROOT / "README.md", {"kernels/roof.py"}, "\napp: setup") == [
        "kernels/cellar.py", "docs/none.md", "python -m labs.tea", "make tea",
    ]  # fmt: skip
