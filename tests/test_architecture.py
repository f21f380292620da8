"""The rules of the house: who may import whom, what makes a stage, how files are named and how long things are."""

import ast
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from params.pipeline import PipelineParams

ROOT = Path(__file__).parents[1]
PACKAGES = ("flows", "tasks", "params")
BRIDGES = {"stage", "context", "engine", "tracking"}
"""Files in tasks/ that connect stages with Prefect, the store and MLflow."""
BORROWING = {"arrive", "adopt", "gather", "probe", "replay", "drop_spans"}
"""Stages of some runs alone, whose parameters come from other sections."""
NO_STAGES = {"register", "pull", "promote", "compare", "alias", "measure"}
"""Verbs that talk to MLflow: nothing they make lies in the store."""
MAX_FUNCTION_LINES = 50
MAX_FILE_LINES = 400
VAGUE = {"utils", "util", "helpers", "helper", "common", "manager", "misc", "base_utils"}

SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
STAGES = sorted(
    path.stem
    for path in (ROOT / "tasks").glob("*.py")
    if path.stem not in BRIDGES | NO_STAGES | BORROWING | {"__init__"}
)


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imports_of(path: Path) -> Iterator[tuple[int, str]]:
    """Line and dotted name of every import, those inside functions too."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)}:{node.lineno}: import by the full name"
            module = node.module or ""
            submodules = [alias.name for alias in node.names if (ROOT / module.replace(".", "/") / alias.name).exists()]
            files = [a.name for a in node.names if (ROOT / module.replace(".", "/") / f"{a.name}.py").exists()]
            yield from ((node.lineno, f"{module}.{name}") for name in (*submodules, *files))
            if len(submodules) + len(files) < len(node.names):
                yield node.lineno, module


def layer_of(path: Path) -> str:
    """flows, verbs (files in tasks/), nouns (folders in tasks/) or params."""
    parts = path.relative_to(ROOT).parts
    if parts[0] == "tasks":
        return "verbs" if len(parts) == 2 else "nouns"
    return parts[0]


def layer_of_module(module: str) -> str | None:
    parts = module.split(".")
    if parts[0] not in PACKAGES:
        return None
    if parts[0] != "tasks":
        return parts[0]
    is_noun = len(parts) > 1 and (ROOT / "tasks" / parts[1]).is_dir()
    return "nouns" if is_noun else "verbs"


ALLOWED = {
    "flows": {"flows", "verbs", "nouns", "params"},
    "verbs": {"verbs", "nouns", "params"},
    "nouns": {"nouns", "params"},
    "params": {"params"},
}


def test_imports_point_from_flows_to_verbs_to_nouns_to_params_and_never_back():
    wrong = [
        f"{name_of(path)}:{line} imports {module}"
        for path in SOURCES
        for line, module in imports_of(path)
        if (layer := layer_of_module(module)) is not None and layer not in ALLOWED[layer_of(path)]
    ]
    assert wrong == []


def test_nouns_and_params_know_neither_prefect_nor_mlflow():
    wrong = [
        f"{name_of(path)}:{line} imports {module}"
        for path in SOURCES
        if layer_of(path) in ("nouns", "params")
        for line, module in imports_of(path)
        if module.split(".")[0] in ("prefect", "mlflow")
    ]
    assert wrong == []


def test_there_are_stages():
    assert {"survey", "clean", "train", "release"} <= set(STAGES)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_has_all_its_parts(stage: str):
    """Parameters, work, a section of a preset, a line in the flow, and tests."""
    called = {
        node.func.id
        for name in ("pipeline.py", "phases.py")
        for node in ast.walk(tree_of(ROOT / "flows" / name))
        if isinstance(node, ast.Call) and _is_name(node.func)
    }
    functions = {node.name for node in tree_of(ROOT / "tasks" / f"{stage}.py").body if _is_stage(node)}
    parts = {
        f"params/{stage}.py": (ROOT / "params" / f"{stage}.py").exists(),
        f"@stage function {stage} in tasks/{stage}.py": functions == {stage},
        f"field {stage} of PipelineParams": stage in PipelineParams.model_fields,
        f"{stage}(…) in flows/pipeline.py or phases.py": stage in called,
        f"tests/tasks/test_{stage}.py": (ROOT / "tests" / "tasks" / f"test_{stage}.py").exists(),
    }
    assert [part for part, is_there in parts.items() if not is_there] == []


def test_every_section_of_a_preset_belongs_to_a_stage():
    assert set(PipelineParams.model_fields) - {"run", "notify", "retrain"} == set(STAGES)


def test_no_module_bears_the_name_of_another_library():
    """Prefect puts the folder of a flow file, flows/, first on sys.path, where such a name would hide the library.

    tasks/ is never put there, so a stage may be named as a library that is imported by its full name alone: evaluate,
    which lm-eval brings, is one. Names of the standard library stay closed to both: they confuse readers.
    """
    standard = set(sys.stdlib_module_names)
    taken = {"flows": standard | (set(packages_distributions()) - set(PACKAGES)), "verbs": standard}
    wrong = [
        name_of(path) for path in SOURCES if path.stem != "__init__" and path.stem in taken.get(layer_of(path), set())
    ]
    assert wrong == []


def test_no_name_is_vague():
    parts = {name_of(path): set(Path(name_of(path)).with_suffix("").parts) for path in SOURCES}
    assert [path for path, names in parts.items() if names & VAGUE] == []


def test_functions_and_files_are_short():
    long_files = [name_of(path) for path in SOURCES if len(path.read_text().splitlines()) > MAX_FILE_LINES]
    long_functions = [
        f"{name_of(path)}:{node.lineno} {node.name}"
        for path in SOURCES
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno + 1 > MAX_FUNCTION_LINES
    ]
    assert long_files + long_functions == []


def test_no_exception_is_caught_blindly():
    blind = [
        f"{name_of(path)}:{node.lineno}"
        for path in SOURCES
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or _is_name(node.type, "Exception", "BaseException"))
    ]
    assert blind == []


def test_every_module_says_what_it_is_for():
    assert [name_of(path) for path in SOURCES if not ast.get_docstring(tree_of(path))] == []


def test_tests_have_no_init_files():
    assert [name_of(path) for path in (ROOT / "tests").rglob("__init__.py")] == []


def _is_name(node: ast.expr, *names: str) -> bool:
    return isinstance(node, ast.Name) and (not names or node.id in names)


def _is_stage(node: ast.stmt) -> bool:
    return isinstance(node, ast.FunctionDef) and any(
        isinstance(decorator, ast.Call) and _is_name(decorator.func, "stage") for decorator in node.decorator_list
    )


BENCHES = sorted((ROOT / "tests" / "bench").glob("*.py"))


def names_in(module: str) -> set[str]:
    """What can be imported from one of our modules: what it defines or imports, and the modules in it."""
    folder = ROOT / module.replace(".", "/")
    path = folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")
    found = {node.name for node in ast.walk(tree_of(path)) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            found |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
    return found | {path.stem for path in folder.glob("*") if path.is_dir() or path.suffix == ".py"}


@pytest.mark.parametrize("path", BENCHES, ids=lambda path: path.stem)
def test_what_a_benchmark_imports_of_ours_is_still_there(path):
    imports = [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.ImportFrom) and node.module]
    ours = [node for node in imports if node.module.split(".")[0] in PACKAGES]
    gone = [f"{node.module}.{a.name}" for node in ours for a in node.names if a.name not in names_in(node.module)]
    assert gone == []
