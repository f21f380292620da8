"""Tokenizers that others made: found on disk, read, and made to follow the rules of the house."""

import json
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from params.errors import ParameterError
from params.train_tokenizer import SpecialTokensParams
from tasks.artifacts.digest import digest_entries, digest_file
from tasks.files.json_object import read_object
from tasks.tokenizer.files import CONFIG, TEMPLATE, TOKENIZER, spelling
from tasks.tokenizer.special import PADDING, SEPARATORS, SpecialTokens

_VOCABULARIES = (("vocab.json", "merges.txt"), ("encoder.json", "vocab.bpe"))
_SLOW = ("tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "vocab.txt", "tokenizer_config.json")
_SHOWN = 12
FIELD = "train_tokenizer.from_path"


@dataclass(frozen=True)
class Loaded:
    """A tokenizer of others with what its configuration says."""

    tokenizer: Tokenizer
    end: str | None
    """Its eos_token."""
    padding: str | None
    """Its pad_token."""
    chat_template: str | None


def find_files(path: Path) -> dict[str, Path]:
    """The files at `path` that make a tokenizer, by the name of their part; raises ParameterError with the remedy."""
    if path.is_file():
        pair = next((pair for pair in _VOCABULARIES if path.name in pair), None)
        if pair is None:
            return {TOKENIZER: path}
        files = {name: path.with_name(name) for name in pair}
    elif path.is_dir():
        fast = [(TOKENIZER,)] if (path / TOKENIZER).exists() else []
        names = next((names for names in (*fast, *_VOCABULARIES) if (path / names[0]).exists()), ())
        files = {name: path / name for name in names}
        optional = (CONFIG, TEMPLATE) if names else ()
        files |= {name: path / name for name in optional if (path / name).exists()}
    else:
        raise ParameterError(f"{FIELD}: {path} does not exist; name a tokenizer.json or a folder with one")
    if missing := [file for file in files.values() if not file.exists()]:
        raise ParameterError(f"{FIELD}: {missing[0]} is missing; vocabulary and merges lie side by side")
    if not files:
        raise ParameterError(_nothing_found(path))
    return files


def content_digest(path: Path) -> str:
    """What the tokenizer at `path` is made of, wherever it lies."""
    files = find_files(path).items()
    return digest_entries((name, file.stat().st_size, digest_file(file)) for name, file in files)


def load_foreign(path: Path) -> Loaded:
    """Read a tokenizer.json, GPT-2 vocabulary files or a transformers folder."""
    files = find_files(path)
    config = _read_json(files[CONFIG]) if CONFIG in files else {}
    if TOKENIZER in files:
        tokenizer = _from_json(_read_json(files[TOKENIZER]), files[TOKENIZER])
    else:
        vocabulary, merges = list(files.values())[:2]
        tokenizer = _from_gpt2(vocabulary, merges, config)
    template = files[TEMPLATE].read_text(encoding="utf-8") if TEMPLATE in files else config.get("chat_template")
    return Loaded(
        tokenizer,
        end=spelling(config.get("eos_token")),
        padding=spelling(config.get("pad_token")),
        chat_template=template if isinstance(template, str) else None,
    )


def choose_special(loaded: Loaded, wanted: SpecialTokensParams, markers: tuple[str, ...]) -> SpecialTokens:
    """Which tokens of a loaded vocabulary separate documents and fill blocks.

    The separator is what is asked for, else one that known models were pretrained with, else the tokenizer's
    eos_token; it has been learned or is declared in `extra`, so a token that is in neither is refused. Padding is never
    learned: a token of its own is added where the tokenizer has none, or uses its separator for it.
    """
    extra = (*wanted.extra, *markers)
    known = {*loaded.tokenizer.get_vocab(), *extra}
    found = (wanted.end_of_text,) if wanted.end_of_text else (*SEPARATORS, loaded.end)
    end = next((token for token in found if token in known), None)
    if end is None:
        raise ParameterError(_no_end(wanted.end_of_text or loaded.end, loaded.tokenizer))
    own = loaded.padding if loaded.padding in known and loaded.padding != end else PADDING
    padding = wanted.padding or own
    if padding == end:
        raise ParameterError(
            f"train_tokenizer.special_tokens.padding: {end} separates the documents already, and padding is never "
            "learned; name another token"
        )
    return SpecialTokens(end, padding, extra)


def _from_json(data: dict[str, Any], path: Path) -> Tokenizer:
    """A tokenizer.json without what would change or shorten a plain text's ids: truncation, templates, dropout."""
    if not isinstance(data.get("model"), dict):
        raise ParameterError(f"{FIELD}: {path} is not a tokenizer.json: it has no model; name the one of `tokenizers`")
    data |= {"truncation": None, "padding": None, "post_processor": None}
    data["model"].pop("dropout", None)
    with _Reading(path):
        return Tokenizer.from_str(json.dumps(data))


def _from_gpt2(vocabulary: Path, merges: Path, config: dict[str, Any]) -> Tokenizer:
    with _Reading(merges):
        tokenizer = Tokenizer(models.BPE(*models.BPE.read_file(str(vocabulary), str(merges))))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    for index, token in sorted(config.get("added_tokens_decoder", {}).items(), key=lambda item: int(item[0])):
        added = AddedToken(token["content"], special=token.get("special", True), normalized=False)
        tokenizer.add_tokens([added])
        if tokenizer.token_to_id(added.content) != int(index):
            raise ParameterError(f"{FIELD}: {vocabulary} leaves no room for {added.content} at id {index}")
    return tokenizer


class _Reading:
    """Explains what `tokenizers` raises for a broken file: Exception itself, never one of its subclasses."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if kind is Exception:
            raise ParameterError(f"{FIELD}: {self.path} cannot be read as a tokenizer: {error}") from None


def _read_json(path: Path) -> dict[str, Any]:
    return read_object(path, field=FIELD, remedy="name a tokenizer.json")


def _nothing_found(path: Path) -> str:
    if slow := [name for name in _SLOW if (path / name).exists()]:
        return (
            f"{FIELD}: {path} has {slow[0]} but no {TOKENIZER}: a slow tokenizer; convert it once with "
            'AutoTokenizer.from_pretrained(folder).save_pretrained("converted") and name that folder'
        )
    names = sorted(file.name for file in path.iterdir())[:_SHOWN]
    return (
        f"{FIELD}: {path} holds neither {TOKENIZER} nor vocab.json and merges.txt nor encoder.json and vocab.bpe; "
        f"it holds {', '.join(names) or 'nothing'}"
    )


def _no_end(wanted: str | None, tokenizer: Tokenizer) -> str:
    special = [token.content for token in tokenizer.get_added_tokens_decoder().values() if token.special]
    alike = [token for token in tokenizer.get_vocab() if "end" in token and token.startswith("<|")]
    candidates = sorted({*special, *alike, *({"</s>", "<eos>", "[EOS]"} & set(tokenizer.get_vocab()))})[:_SHOWN]
    missing = f"the end-of-text token {wanted} is not in the vocabulary" if wanted else "nothing says what ends a text"
    return (
        f"{FIELD}: {missing}; set train_tokenizer.special_tokens.end_of_text to one that is "
        f"({', '.join(candidates) or 'it has no special token'}), or add a new one by naming it in extra as well"
    )
