"""gristmill classify: the labels of texts, by a released classifier."""

import argparse
import json
from pathlib import Path
from typing import Any, TypeAlias

from flows.console import printable
from flows.generating import folder_of, read_texts
from flows.home import open_home
from flows.manual import CLASSIFY
from params.errors import ParameterError

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
_BATCH = 256


def add_parser(commands: Commands) -> None:
    """The command's arguments."""
    added = commands.add_parser("classify", help="tell the labels of texts", description=CLASSIFY)
    added.add_argument("prompt", nargs="*", metavar="text", help="texts to label (default: standard input, one a line)")
    added.add_argument("--home", type=Path, metavar="DIR", help="home folder (default: GRISTMILL_HOME or ./.gristmill)")
    added.add_argument("--file", type=Path, metavar="FILE", help="texts: one a line, or .jsonl with a field text")
    added.add_argument("--model", help="models:/NAME@ALIAS, models:/NAME/VERSION or a pulled folder")
    added.add_argument("--variant", help="fp32, int8 … (default: the one that is served)")
    added.add_argument("--threads", type=int, default=1, metavar="N", help="threads of one step of the model (1)")
    added.add_argument(
        "--truncate", action="store_true", help="read what fits of a text that is longer than the context"
    )
    added.add_argument(
        "--json", action="store_true", help="one JSON object a line, with the probability of every label"
    )
    added.set_defaults(command=classify)


def classify(arguments: argparse.Namespace) -> int:
    """Print a line for each text: its label, the probability of that, and the text."""
    from tasks.serving.classifier import OnnxClassifier, TextError, served_folder

    if arguments.threads < 1:
        raise ParameterError(f"--threads is {arguments.threads}; it must be 1 or more")
    home = open_home(arguments.home)
    texts = list(read_texts(arguments, field="text"))
    if not texts:
        raise ParameterError("no text: give one, --file FILE, or lines on standard input")
    folder = folder_of(arguments.model, home)
    try:
        model = OnnxClassifier(served_folder(folder, arguments.variant), threads=arguments.threads)
    except TextError as error:
        raise ParameterError(str(error)) from None
    rows = []
    for text in texts:  # all of them, so that nothing is printed where one cannot be read
        try:
            rows.append(model.encode(text.text, truncate=arguments.truncate))
        except TextError as error:
            raise ParameterError(f"{text.where}: {error}{' (--truncate)' if text.text else ''}") from None
    for start in range(0, len(texts), _BATCH):
        found = model.probabilities(rows[start : start + _BATCH])
        for text, probabilities in zip(texts[start:], found, strict=False):
            _print(text.text, model.told(probabilities), as_json=arguments.json)
    return 0


def _print(text: str, found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"text": text, **found}, ensure_ascii=False))
    else:
        print(f"{printable(found['label'])}\t{found['probability']:.4f}\t{printable(text)}")
