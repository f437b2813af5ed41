"""No kernel without a test: each public function from tensors to tensors is named in tests/kernels, or in the package's map.

The map (the docstring of kernels/__init__.py) also names every module. Whether a test is a good one, no test can say.
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


def forgotten(modules: dict[str, str], tests: str, package_map: str) -> list[str]:
    """By module name and source: what neither the tests nor the map names."""
    missing = [f"{module} is not in the map" for module in modules if f" {module} " not in package_map]
    for module, source in modules.items():
        for name in tensor_functions(source):
            if not re.search(rf"\b{name}\b", tests + package_map):
                missing.append(f"{module}: {name} has no test")
    return missing


def test_no_kernel_is_forgotten():
    modules = {path.name: path.read_text(encoding="utf-8") for path in sorted(KERNELS.glob("*.py"))}
    package_map = ast.get_docstring(ast.parse(modules.pop("__init__.py")))
    tests = "\n".join(path.read_text(encoding="utf-8") for path in HERE.parent.rglob("*.py") if path != HERE)

    assert modules
    assert forgotten(modules, tests, package_map) == []


def test_a_forgotten_kernel_is_noticed():
    source = "def twice(x: torch.Tensor) -> torch.Tensor: ...\ndef _inner(x: torch.Tensor) -> torch.Tensor: ..."

    assert forgotten({"twice.py": source}, "assert once(x)", "once.py  a kernel") == [
        "twice.py is not in the map",
        "twice.py: twice has no test",
    ]
    assert forgotten({"twice.py": source}, "assert twice(x)", " twice.py   a kernel") == []
