"""No kernel without a test: each public function from tensors to tensors is named in tests/kernels, or in the package's map.

Of a module that checks its arguments, which is one that people call, every function stands also where numbers are tested and
where kernels are compiled, and one of them where arguments are refused. The map (the docstring of kernels/__init__.py) names
every module. Whether a test is a good one, no test can say.
"""

import ast
import re
from pathlib import Path

HERE = Path(__file__)
KERNELS = HERE.parents[2] / "kernels"


def tensor_functions(source: str) -> list[str]:
    """The public functions whose first argument is a tensor and that return one, or several."""
    return [
        node.name
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef)
        and not node.name.startswith("_")
        and node.args.args
        and _named(node.args.args[0].annotation).endswith("Tensor")
        and "Tensor" in _named(node.returns)
    ]


def _named(annotation: ast.expr | None) -> str:
    return "" if annotation is None else ast.unparse(annotation)


def forgotten(modules: dict[str, str], tests: dict[str, str], package_map: str) -> list[str]:
    """By module name and source, and by test file and text: what neither the tests nor the map names."""
    missing = [
        f"{module} is not in the map, the docstring of kernels/__init__.py"
        for module in modules
        if f" {module} " not in package_map
    ]
    refused = tests.get("test_bad_input.py", "")
    compiled = tests.get("test_compiles.py", "")
    numbers = "\n".join(text for file, text in tests.items() if file not in ("test_bad_input.py", "test_compiles.py"))
    for module, source in modules.items():
        names = tensor_functions(source)
        if "from kernels.checks import" not in source:
            everywhere = "\n".join([*tests.values(), package_map])
            missing += [f"{module}: {name} has no test" for name in names if not says(everywhere, name)]
            continue
        missing += [f"{module}: {name} has no test of its numbers in on_device/" for name in names if not says(numbers, name)]
        missing += [f"{module}: {name} is not called in test_compiles.py" for name in names if not says(compiled, name)]
        if names and not any(says(refused, name) for name in names):
            missing.append(f"{module}: on_device/test_bad_input.py does not say what {names[0]} refuses")
    return missing


def says(text: str, name: str) -> bool:
    return re.search(rf"\b{name}\b", text) is not None


def test_no_kernel_is_forgotten():
    modules = {path.name: path.read_text(encoding="utf-8") for path in sorted(KERNELS.glob("*.py"))}
    package_map = ast.get_docstring(ast.parse(modules.pop("__init__.py")))
    tests = {path.name: path.read_text(encoding="utf-8") for path in HERE.parent.rglob("*.py") if path != HERE}

    assert modules
    assert forgotten(modules, tests, package_map) == []


def test_a_forgotten_kernel_is_noticed():
    source = "def twice(x: torch.Tensor) -> torch.Tensor: ...\ndef _inner(x: torch.Tensor) -> torch.Tensor: ..."

    assert forgotten({"twice.py": source}, {"test_rows.py": "assert once(x)"}, "once.py  a kernel") == [
        "twice.py is not in the map, the docstring of kernels/__init__.py",
        "twice.py: twice has no test",
    ]
    assert forgotten({"twice.py": source}, {"test_rows.py": "assert twice(x)"}, " twice.py   a kernel") == []


def test_a_kernel_that_people_call_is_tested_three_ways():
    source = "from kernels.checks import require_dims\ndef twice(x: torch.Tensor) -> torch.Tensor: ..."
    tests = dict.fromkeys(("test_rows.py", "test_compiles.py", "test_bad_input.py"), "twice(x)")
    said = {
        "test_rows.py": "twice.py: twice has no test of its numbers in on_device/",
        "test_compiles.py": "twice.py: twice is not called in test_compiles.py",
        "test_bad_input.py": "twice.py: on_device/test_bad_input.py does not say what twice refuses",
    }

    assert forgotten({"twice.py": source}, tests, " twice.py   a kernel") == []
    for file, sentence in said.items():
        assert forgotten({"twice.py": source}, tests | {file: "once(x)"}, " twice.py   a kernel") == [sentence]
