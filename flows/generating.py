"""gristmill generate: write text with a released model, from prompts, files, standard input or in a conversation."""

import argparse
import json
import os
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from flows.console import INTERRUPTED, printable, say
from flows.home import Home, open_home
from flows.manual import GENERATE
from flows.models import newest_model, pulled_name
from flows.turns import decoded, on_terminal, read_turns
from params.errors import ParameterError

if TYPE_CHECKING:
    from tasks.serving.generation import Piece
    from tasks.serving.generator import Sampling
    from tasks.serving.local import LocalModel

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


@dataclass(frozen=True)
class Prompt:
    """A text to continue, and where it stands."""

    text: str
    where: str


def add_parser(commands: Commands) -> None:
    """The command's arguments."""
    added = commands.add_parser(
        "generate",
        help="write text with a model",
        description=GENERATE,
    )
    added.add_argument("prompt", nargs="*", help="texts to continue (default: standard input)")
    added.add_argument("--home", type=Path, metavar="DIR", help="home folder (default: GRISTMILL_HOME or ./.gristmill)")
    added.add_argument("--file", type=Path, metavar="FILE", help="prompts: one a line, or .jsonl with a field prompt")
    added.add_argument("--chat", action="store_true", help="a conversation: each line of standard input is a turn")
    added.add_argument("--system", metavar="TEXT", help="with --chat: what the conversation begins with")
    added.add_argument("--model", help="models:/NAME@ALIAS, models:/NAME/VERSION or a pulled folder")
    added.add_argument("--variant", help="fp32, int8 … (default: the one that is served)")
    added.add_argument("--threads", type=int, default=1, metavar="N", help="threads of one step of the model (1)")
    added.add_argument(
        "-n", type=int, default=1, dest="num_continuations", metavar="N", help="texts of each prompt (1)"
    )
    added.add_argument("--max-tokens", type=int, dest="max_new_tokens", metavar="N", help="longest continuation")
    added.add_argument("--temperature", type=float, metavar="T", help="below 1 plainer, above 1 wilder")
    added.add_argument("--top-k", type=int, metavar="K", help="draw from the K likeliest tokens; 0 for all")
    added.add_argument("--top-p", type=float, metavar="P", help="draw from the tokens that reach probability P")
    added.add_argument("--seed", type=int, help="the same seed gives the same text")
    added.add_argument("--greedy", action="store_true", default=None, help="always the likeliest token")
    added.add_argument(
        "--stop", action="append", default=[], metavar="TEXT", help="end before this text; may be repeated"
    )
    added.add_argument("--json", action="store_true", help="one JSON object a line for each text")
    added.set_defaults(command=generate)


def generate(arguments: argparse.Namespace) -> int:
    """Print continuations as they are made; after Ctrl-C what is written stays."""
    if arguments.num_continuations < 1:
        raise ParameterError(f"-n is {arguments.num_continuations}; it must be 1 or more")
    if arguments.threads < 1:
        raise ParameterError(f"--threads is {arguments.threads}; it must be 1 or more")
    if "" in arguments.stop:
        raise ParameterError("--stop is empty; give the text before which to end")
    try:
        model, sampling = _load(arguments)
        (_chat if arguments.chat else _continue)(model, sampling, arguments)
    except BrokenPipeError:  # such as | head: whoever reads has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        _print("\n" if sys.stdout.isatty() else "")
        return INTERRUPTED
    return 0


def _load(arguments: argparse.Namespace) -> "tuple[LocalModel, Sampling]":
    from tasks.serving.generator import Sampling
    from tasks.serving.local import LocalModel

    home = open_home(arguments.home)
    given = {field.name: getattr(arguments, field.name) for field in fields(Sampling)}
    model = LocalModel(folder_of(arguments.model, home), variant=arguments.variant, threads=arguments.threads)
    return model, model.sampling(**{name: value for name, value in given.items() if value is not None})


def folder_of(model: str | None, home: Home) -> Path:
    """The bundle that a name or a path stands for, fetched if it must be."""
    from tasks.pull import pull
    from tasks.tracking import answering_registry

    model = model or newest_model(home)
    if Path(model).exists():
        return Path(model)
    with answering_registry():
        return pull(model, home.cache / "models" / pulled_name(model))


def _continue(model: "LocalModel", sampling: "Sampling", arguments: argparse.Namespace) -> None:
    prompts = list(read_texts(arguments, field="prompt", by_line=False))
    if not prompts:
        raise ParameterError("no prompt: give one, --file FILE, or text on standard input")
    tokens = [model.prompt_tokens(prompt.text, prompt.where) for prompt in prompts]
    number = arguments.num_continuations
    pieces = model.run(tokens, sampling, num_continuations=number, stops=tuple(arguments.stop))
    for index, texts in in_order(pieces, len(prompts) * number):
        prompt = prompts[index // number].text
        if arguments.json:
            _print_json({"prompt": prompt, "index": index % number}, texts)
        else:
            if model.model.encoder is None:  # else the text is another one, not the prompt's continuation
                _print(prompt)
            for piece in texts:
                _print(piece.text)
            _print("\n")


def read_texts(arguments: argparse.Namespace, *, field: str, by_line: bool = True) -> Iterator[Prompt]:
    """The texts of the arguments and the file; where there are none, of standard input: its lines, or all of it."""
    yield from (Prompt(text, f"{field} {number}") for number, text in enumerate(arguments.prompt, start=1))
    if arguments.file is not None:
        yield from read_prompts(arguments.file, field)
    elif not arguments.prompt:
        if sys.stdin.isatty():
            say("Type a text, then Ctrl-D:")
        given = sys.stdin.buffer.read()
        if by_line:
            yield from _lines(given, "standard input", field="")
        elif text := decoded(given, "standard input").removesuffix("\n"):
            yield Prompt(text, "standard input")


def read_prompts(path: Path, field: str = "prompt") -> Iterator[Prompt]:
    """The texts of a file, of .jsonl those of a field. Raises ParameterError with the line that is at fault."""
    try:
        whole = path.read_bytes()
    except OSError as error:
        raise ParameterError(f"{path}: cannot be read: {error.strerror}") from None
    yield from _lines(whole, str(path), field=field if path.suffix == ".jsonl" else "")


def _lines(whole: bytes, name: str, *, field: str) -> Iterator[Prompt]:
    for number, raw in enumerate(whole.splitlines(), start=1):
        where = f"{name}:{number}"
        if line := decoded(raw, where).removeprefix("\ufeff").strip("\r\n"):
            yield Prompt(_text_in(line, where, field) if field else line, where)


def _text_in(line: str, where: str, field: str) -> str:
    try:
        found = json.loads(line)
    except json.JSONDecodeError as error:
        raise ParameterError(f"{where}: not JSON ({error.msg})") from None
    text = found.get(field) if isinstance(found, dict) else found
    if not isinstance(text, str):
        raise ParameterError(f'{where}: no text under "{field}"')
    return text


def in_order(pieces: "Iterator[Piece]", number: int) -> "Iterator[tuple[int, Iterator[Piece]]]":
    """The texts one after the other, each with its pieces; those of later ones wait while they are made together."""
    held: dict[int, list[Piece]] = defaultdict(list)

    def text(index: int) -> "Iterator[Piece]":
        while True:
            while held[index]:
                piece = held[index].pop(0)
                yield piece
                if piece.finish:
                    del held[index]
                    return
            piece = next(pieces)
            held[piece.index].append(piece)

    for index in range(number):
        yield index, text(index)


def _chat(model: "LocalModel", sampling: "Sampling", arguments: argparse.Namespace) -> None:
    """Answer each line that is typed or piped in, the conversation kept in mind."""
    from tasks.serving.chat_template import Message

    if arguments.prompt or arguments.file or arguments.num_continuations > 1:
        raise ParameterError("--chat takes its turns from standard input, one a line, and gives one answer to each")
    messages = [Message("system", arguments.system)] if arguments.system else []
    model.chat_tokens([*messages, Message("user", "?")])  # a model that cannot chat says so before anything is typed
    for line in read_turns(sys.stdin):
        asked = [*messages, Message("user", line)]
        try:
            tokens = model.chat_tokens(asked)
        except ParameterError as error:
            if not on_terminal():
                raise
            say(f"{error}; this turn is left out")
            continue
        pieces = model.run([tokens], sampling, stops=tuple(arguments.stop), answers=True)
        answer = _print_json({"prompt": line}, pieces) if arguments.json else print_answer(pieces)
        messages = [*asked, Message("assistant", answer)]


def print_answer(pieces: "Iterator[Piece]") -> str:
    """Print an answer as it is made, and return it; on a terminal Ctrl-C ends it there."""
    answer = ""
    try:
        for piece in pieces:
            _print(piece.text)
            answer += piece.text
    except KeyboardInterrupt:
        if not on_terminal():
            raise
        _print(" …")
    _print("\n")
    return answer


def _print_json(head: dict[str, Any], pieces: "Iterator[Piece]") -> str:
    """One line for a whole text, which is returned."""
    text, num_tokens, finish = "", 0, None
    for piece in pieces:
        text += piece.text
        num_tokens += len(piece.tokens)
        finish = piece.finish or finish
    body = {**head, "text": text, "tokens": num_tokens, "finish_reason": finish}
    print(json.dumps(body, ensure_ascii=False), flush=True)
    return text


def _print(text: str) -> None:
    print(printable(text) if sys.stdout.isatty() else text, end="", flush=True)
