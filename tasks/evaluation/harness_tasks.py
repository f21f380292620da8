"""Tasks of lm-eval from a folder of yaml files and their data: read, kept from the network and checked."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from params.errors import EvaluationError
from params.evaluate import HarnessParams
from tasks.artifacts.digest import digest_entries, digest_file
from tasks.evaluation.harness_quiet import quiet_harness

_READERS = ("arrow", "csv", "json", "parquet", "text")
"""Formats that the package datasets reads from files."""
_REFUSED = {
    "class": "tasks in Python are not taken; write it as yaml, with !function where it needs code",
    "use_prompt": "prompts of promptsource would be fetched; write doc_to_text",
    "data_dir": "name each file under dataset_kwargs.data_files",
    "doc_to_image": "the model reads text only",
    "doc_to_audio": "the model reads text only",
    "unsafe_code": "it runs what the model writes",
}


def read_tasks(params: HarnessParams, *, seed: int) -> dict[str, Any]:
    """The tasks by name, with their data loaded and every document tried.

    Raises EvaluationError naming the file, what is wrong there and the remedy. The `seed` draws solved examples.
    """
    if find_spec("lm_eval") is None:
        raise EvaluationError("evaluate.harness needs the package lm_eval: pip install 'gristmill[eval]'")
    folder = _existing(params)
    with quiet_harness():
        known = _task_files(folder)
        unknown = [name for name in params.tasks if name not in known]
        if unknown:
            there = f"there are {', '.join(sorted(known))}" if known else "none has any task"
            raise EvaluationError(f"evaluate.harness.tasks: no yaml file in {folder} has task: {unknown[0]}; {there}")
        return {name: _read_task(known[name], folder, params, seed) for name in params.tasks}


def digest_folder(params: HarnessParams) -> str:
    """Digest of every file in the folder, hidden ones and compiled Python aside."""
    folder = _existing(params)
    paths = [path for path in folder.rglob("*") if path.is_file() and not _is_left_out(path.relative_to(folder))]
    return digest_entries(
        (path.relative_to(folder).as_posix(), path.stat().st_size, digest_file(path)) for path in paths
    )


def texts_of(task: Any) -> list[str]:
    """Each document of a task as a text: its question with the right answer."""
    return [_text_of(task, document) for document in task.eval_docs]


def _existing(params: HarnessParams) -> Path:
    folder = Path(params.folder).expanduser()
    if not folder.is_dir():
        raise EvaluationError(f"evaluate.harness.folder: {folder} is no folder; name one with yaml files of tasks")
    return folder.resolve()


def _is_left_out(path: Path) -> bool:
    return any(part.startswith(".") or part == "__pycache__" for part in path.parts)


def _task_files(folder: Path) -> dict[str, Path]:
    """The yaml file of each task; groups and files that others include have no task of their own."""
    found = dict[str, Path]()
    for path in sorted(folder.rglob("*.yaml")):
        if _is_left_out(path.relative_to(folder)):
            continue
        name = _load(path, resolve=False, recursive=False).get("task")
        if isinstance(name, str) and name in found:
            raise EvaluationError(f"{path}: task: {name} stands in {found[name]} too; give it another name")
        if isinstance(name, str):
            found[name] = path
    return found


def _read_task(path: Path, folder: Path, params: HarnessParams, seed: int) -> Any:
    from lm_eval.api.task import ConfigurableTask

    _check_includes(path, folder)
    settings = {key: value for key, value in _load(path, resolve=True).items() if key not in ("tag", "group")}
    with _explained(path):
        _check_settings(path, settings)
    with TemporaryDirectory() as cache, _explained(path):
        # Copies of the data go with this folder: a cache that stays would outlive a change of the files.
        task = ConfigurableTask(config=_with_local_data(path, settings, folder, cache))
    if not len(task.eval_docs):
        raise EvaluationError(f"{path}: its data has no documents")
    for number, document in enumerate(task.eval_docs):
        _check_document(task, document, f"{path}: document {number + 1}")
    # As lm-eval's own command line does: a task that says 0 stays without examples.
    if task.config.num_fewshot is None or (params.num_fewshot is not None and task.config.num_fewshot != 0):
        task.set_config("num_fewshot", params.num_fewshot or 0)
    task.set_fewshot_seed(seed)
    with _explained(path):
        task.build_all_requests(limit=params.limit)
    return task


def _load(path: Path, *, resolve: bool, recursive: bool = True) -> dict[str, Any]:
    """A yaml file, with what it includes if `recursive` and its functions imported if `resolve`."""
    from lm_eval.tasks._yaml_loader import load_yaml

    with _explained(path):
        loaded: dict[str, Any] = load_yaml(path, resolve_func=resolve, recursive=recursive)
    return loaded


def _check_includes(path: Path, folder: Path) -> None:
    included = _load(path, resolve=False, recursive=False).get("include") or []
    for name in [included] if isinstance(included, str) else included:
        _check_includes(_inside(path, name, folder), folder)


def _check_settings(path: Path, settings: Mapping[str, Any]) -> None:
    """Refuse what would need the network or another kind of model."""
    from lm_eval.api import metrics  # noqa: F401  (fills the registries)
    from lm_eval.api.registry import aggregation_registry, metric_registry

    kwargs, written = settings.get("dataset_kwargs") or {}, settings.get("generation_kwargs") or {}
    if written.get("do_sample") or float(written.get("temperature") or 0) > 0:
        raise EvaluationError(f"{path}: generation_kwargs: answers are written greedily; set do_sample: false")
    for key, remedy in _REFUSED.items():
        if settings.get(key) or kwargs.get(key):
            raise EvaluationError(f"{path}: {key}: {remedy}")
    for entry in settings.get("metric_list") or []:
        name, aggregation = entry.get("metric"), entry.get("aggregation")
        is_own = callable(name) or settings.get("process_results") is not None
        if entry.get("hf_evaluate") or not (is_own or name in metric_registry):
            raise EvaluationError(
                f"{path}: metric {name} is none of lm-eval's own and would be fetched from the hub; "
                "take another, or write it as a !function"
            )
        if isinstance(aggregation, str) and aggregation not in aggregation_registry:
            raise EvaluationError(f"{path}: metric {name}: lm-eval knows no aggregation {aggregation}")


def _with_local_data(path: Path, settings: dict[str, Any], folder: Path, cache: str) -> dict[str, Any]:
    """The settings with the data files by full path; raises EvaluationError where data would be downloaded."""
    if callable(settings.get("custom_dataset")):
        return settings
    kwargs, source = dict(settings.get("dataset_kwargs") or {}), settings.get("dataset_path")
    if source not in _READERS or not kwargs.get("data_files"):
        raise EvaluationError(
            f"{path}: dataset_path: {source} would be fetched from the hub; put the data beside this file and write "
            f"dataset_path: json (or {', '.join(_READERS)}) with dataset_kwargs: {{data_files: {{test: FILE}}}}"
        )
    files = kwargs["data_files"]
    if isinstance(files, Mapping):
        kwargs["data_files"] = {split: _paths(path, named, folder) for split, named in files.items()}
    else:
        kwargs["data_files"] = _paths(path, files, folder)
    return {**settings, "dataset_kwargs": {**kwargs, "cache_dir": cache, "keep_in_memory": True}}


def _paths(path: Path, named: Any, folder: Path) -> list[str]:
    found = [_inside(path, name, folder) for name in ([named] if isinstance(named, str) else named)]
    for file in found:
        if not file.read_bytes().strip():
            raise EvaluationError(f"{file}: is empty; {path} takes its documents from it")
    return [str(file) for file in found]


def _inside(path: Path, name: Any, folder: Path) -> Path:
    """A file that a yaml file names; raises EvaluationError unless it is in the folder."""
    if "://" in str(name):
        raise EvaluationError(f"{path}: {name} would be fetched; put the file into {folder} and name it")
    file = (path.parent / str(name)).resolve()
    if not file.is_relative_to(folder):
        raise EvaluationError(f"{path}: {name} lies outside {folder}, whose files are what the result is known by")
    if not file.is_file():
        raise EvaluationError(f"{path}: {name} does not exist beside it")
    return file


def _check_document(task: Any, document: Any, place: str) -> None:
    """Try what will be asked of a document."""
    with _explained(place):
        text, target = task.doc_to_text(document), task.doc_to_target(document)
        choices = task.doc_to_choice(document) if task.config.doc_to_choice is not None else None
    if text is None or target is None or target == "":
        raise EvaluationError(f"{place}: has no {'text' if text is None else 'target'}; its keys are {_keys(document)}")
    if task.OUTPUT_TYPE != "multiple_choice":
        return
    if not isinstance(choices, list) or not choices or not all(isinstance(c, str) and c for c in choices):
        raise EvaluationError(f"{place}: doc_to_choice gives {choices!r}; it must be a list of texts")
    right = text if task.multiple_input else target
    for answer in right if isinstance(right, list) else [right]:
        if answer not in (range(len(choices)) if isinstance(answer, int) else choices):
            raise EvaluationError(
                f"{place}: doc_to_target gives {answer!r}, which is none of its {len(choices)} choices"
            )


def _text_of(task: Any, document: Any) -> str:
    text, target = task.doc_to_text(document), task.doc_to_target(document)
    choices = task.doc_to_choice(document) if task.config.doc_to_choice is not None else []
    parts = [text, *(target if isinstance(target, list) else [target])]
    # Of several inputs the text is the number of the right one, and the choices are the inputs.
    shown = [choices[part] if isinstance(part, int) and choices else str(part) for part in parts]
    return str(task.config.target_delimiter).join(shown)


def _keys(document: Any) -> str:
    return ", ".join(document) if isinstance(document, Mapping) else "none, it is no object"


@contextmanager
def _explained(place: Path | str) -> Iterator[None]:
    """Errors that lm-eval, datasets or jinja raise over a user's file, with the place and in one line."""
    from datasets.exceptions import DatasetsError
    from jinja2 import TemplateError
    from yaml import YAMLError

    lookups, values = (LookupError, AttributeError), (ValueError, TypeError, SyntaxError)
    faults = (*lookups, *values, ImportError, OSError, AssertionError, DatasetsError, TemplateError, YAMLError)
    try:
        yield
    except EvaluationError:
        raise
    except faults as error:
        cause = error.__cause__ or error
        said = " ".join(str(cause).split()) or "no reason given"
        raise EvaluationError(f"{place}: {type(cause).__name__}: {said}") from None
