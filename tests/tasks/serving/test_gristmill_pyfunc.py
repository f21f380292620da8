"""The loader of registered models, away from gristmill."""

import shutil
import subprocess
import sys

import pytest

from tasks.serving import gristmill_pyfunc
from tasks.serving.gristmill_pyfunc import texts_of


@pytest.mark.parametrize("column", ["prompt", "text"])
def test_texts_may_come_in_any_of_the_usual_forms(column: str):
    import pandas

    expected = ["a", "b"]
    assert texts_of(pandas.DataFrame({"id": [1, 2], column: ["a", "b"]}), column) == expected
    assert texts_of(pandas.DataFrame({"other": ["a", "b"]}), column) == expected
    assert texts_of([{column: "a"}, {column: "b"}], column) == expected
    assert texts_of({column: ["a", "b"]}, column) == expected
    assert texts_of(["a", "b"], column) == expected
    assert texts_of("a", column) == ["a"]


@pytest.fixture
def bundle(workshop, tmp_path):
    """The files of a bundle that the loader needs."""
    from tasks.serving import generator

    folder = tmp_path / "bundle"
    shutil.copytree(workshop.graph("qwen3").folder / "fp32", folder / "onnx" / "fp32")
    (folder / "bundle.json").write_text('{"served": "fp32"}')
    shutil.copyfile(generator.__file__, folder / "generate.py")
    return folder


def test_it_loads_and_predicts_where_gristmill_is_not_installed(bundle, tmp_path):
    shutil.copy(gristmill_pyfunc.__file__, tmp_path)
    code = (
        "import sys; sys.modules['tasks'] = sys.modules['params'] = None; import gristmill_pyfunc as loader; "
        f"print(loader._load_pyfunc({str(bundle)!r}).predict(['To install the'], {{'greedy': True}}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stdout == "[' package, run pip install gristmill.']\n"
