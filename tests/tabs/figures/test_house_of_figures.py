"""The figures load neither torch nor gradio, and every figure is a model, its twin and a drawing."""

import subprocess
import sys

import pytest

from tabs.figures.widget import HERE, head

pytestmark = pytest.mark.process


def test_importing_the_figures_loads_neither_torch_nor_gradio():
    models = [path.stem for path in HERE.glob("*.py") if path.stem != "__init__"]
    code = (
        f"import sys, importlib; [importlib.import_module('tabs.figures.' + name) for name in {models!r}]; "
        "assert not {'torch', 'gradio', 'plotly'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=HERE.parents[1])


def test_nothing_is_fetched_from_elsewhere():
    for path in [*HERE.glob("*.js"), *HERE.glob("*.css")]:
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "http:" not in text and "https:" not in text and "import(" not in text and "fetch(" not in text, path.name


def test_the_shared_layer_is_one_script():
    assert head().count("<script>") == head().count("</script>") == 1
