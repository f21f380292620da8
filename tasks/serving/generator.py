"""Generate text with an exported model: python generate.py "a prompt".

This file is copied into every release as generate.py. It needs numpy, onnxruntime and tokenizers, nothing else.
"""

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
from numpy.random import default_rng
from tokenizers import Tokenizer

Array = npt.NDArray[Any]
GRAPH = "model.onnx"
ENCODER, DECODER = "encoder.onnx", "decoder.onnx"
"""Both in the place of one graph: the encoder reads the prompt, and the decoder writes a text of its own."""
SETTINGS, BUNDLE = "generation.json", "bundle.json"
DTYPES = {f"tensor({name})": np.dtype(code) for name, code in (("float", "f4"), ("float16", "f2"), ("int8", "i1"))}
"""Of what graphs read and write, by the name that onnxruntime has for it."""
_NUMBERS = {"max-new-tokens": int, "temperature": float, "top-k": int, "top-p": float, "seed": int}
_GROUP = 16
_BROKEN, _PAST = "\ufffd", "past_key_values"
_GAP = re.compile(r"(<extra_id_\d+>)")


class PromptError(ValueError):
    """A prompt or a setting that the model cannot take."""


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen."""

    max_new_tokens: int = 64
    temperature: float = 0.6
    """Below 1 sharpens the distribution, above 1 flattens it."""
    top_k: int = 50
    """Only the k likeliest tokens; 0 for all."""
    top_p: float = 0.95
    """Only the likeliest tokens that together reach this probability."""
    seed: int | None = None
    """The same seed gives the same text; None draws anew each time."""
    greedy: bool = False
    """Always the likeliest token; the settings above but max_new_tokens are then without effect."""

    def __post_init__(self) -> None:
        """Raise PromptError for a value that cannot work."""
        if self.max_new_tokens < 1:
            raise PromptError(f"max_new_tokens is {self.max_new_tokens}; it must be 1 or more")
        if not self.greedy and not self.temperature > 0:
            raise PromptError(f"temperature is {self.temperature}; it must be above 0 (use greedy for no randomness)")
        if self.top_k < 0:
            raise PromptError(f"top_k is {self.top_k}; it must be 0 (off) or more")
        if not 0 < self.top_p <= 1:
            raise PromptError(f"top_p is {self.top_p}; it must be above 0 and at most 1")
        if self.seed is not None and self.seed < 0:
            raise PromptError(f"seed is {self.seed}; it must be 0 or more")


@dataclass(frozen=True)
class Settings:
    """generation.json: what running the graph takes beside the graph."""

    bos_token_id: int
    eos_token_id: int
    pad_token_id: int
    context_length: int
    vocab_size: int
    num_layers: int
    num_kv_heads: int
    head_dim: int
    in_place_cache: bool
    """The graph may write new keys and values into the very buffers it reads the old ones from."""
    start_token_id: int | None = None
    """What a decoder begins with that has an encoder."""
    sampling: dict[str, Any] = field(default_factory=dict)
    """Defaults for Sampling."""

    @classmethod
    def load(cls, folder: Path) -> "Settings":
        """Read a served folder's settings; unknown keys are left out."""
        stored = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
        return cls(**{key: value for key, value in stored.items() if key in {f.name for f in fields(cls)}})


class OnnxModel:
    """A served folder (model.onnx, tokenizer.json, generation.json) ready to run."""

    def __init__(self, folder: str | Path, *, threads: int = 1, spin_us: int | None = None) -> None:
        """One thread is fastest up to some ten million parameters. `spin_us`: how long an idle one holds a core."""
        self.folder = Path(folder)
        self.settings = Settings.load(self.folder)
        self.tokenizer = Tokenizer.from_file(str(self.folder / "tokenizer.json"))
        self.tokenizer.encode_special_tokens = True  # "<|endoftext|>" in a prompt is text, not a command
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.enable_mem_pattern = False  # patterns are kept by shape, and prompts come in every length
        options.log_severity_level = 3  # errors only
        if spin_us is not None:
            options.add_session_config_entry("session.intra_op.spin_duration_us", str(spin_us))
        is_whole = (self.folder / GRAPH).is_file()
        self.session = self._open(GRAPH if is_whole else DECODER, options)
        self.encoder = None if is_whole else self._open(ENCODER, options)
        self.takes_positions = any(tensor.name == "position_ids" for tensor in self.session.get_inputs())
        special = {t.content: n for n, t in self.tokenizer.get_added_tokens_decoder().items() if t.special}
        self.gaps = {text: n for text, n in special.items() if self.encoder and _GAP.fullmatch(text)}
        self._hidden = {*special.values()} - {*self.gaps.values()}

    def _open(self, name: str, options: Any) -> Any:
        return onnxruntime.InferenceSession(str(self.folder / name), options, providers=["CPUExecutionProvider"])

    @property
    def room(self) -> int:
        """Most tokens of a prompt and its continuation together; what an encoder reads takes no room of the text."""
        return self.settings.context_length * (1 if self.encoder is None else 2)

    @property
    def longest(self) -> int:
        """Most tokens of a prompt with its begin or end token; a decoder keeps a place for what it writes."""
        return self.settings.context_length - (self.encoder is None)

    def sampling(self, **changes: Any) -> Sampling:
        """The model's default sampling with changes."""
        return replace(Sampling(**self.settings.sampling), **changes)

    def encode(self, text: str) -> list[int]:
        """Token ids of a prompt, led by the begin token; an encoder's end instead, its <extra_id_0> being gaps."""
        parts = _GAP.split(text) if self.gaps else [text]
        ids = [n for part in parts for n in ([self.gaps[part]] if part in self.gaps else self._plain(part))]
        return [self.settings.bos_token_id, *ids] if self.encoder is None else [*ids, self.settings.eos_token_id]

    def _plain(self, text: str) -> list[int]:
        return list(self.tokenizer.encode(text, add_special_tokens=False).ids)

    def read(self, prompts: Array) -> dict[str, Array]:
        """What the decoder takes of token ids (batch, time) that the encoder has read."""
        assert self.encoder is not None
        mask, names = np.ones_like(prompts), [output.name for output in self.encoder.get_outputs()]
        made = self.encoder.run(names, {"input_ids": prompts, "attention_mask": mask})
        return {"attention_mask": mask, **dict(zip(names, made, strict=True))}

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of token ids; of special tokens it has sentinels only."""
        return str(self.tokenizer.decode([n for n in tokens if n not in self._hidden], skip_special_tokens=False))

    def logits(self, prompts: Sequence[Sequence[int]]) -> Array:
        """Logits (batch, longest, vocabulary) of token ids without a cache; shorter rows are padded on the right."""
        width = max(map(len, prompts))
        pad = self.settings.pad_token_id
        tokens = np.array([[*prompt, *[pad] * (width - len(prompt))] for prompt in prompts], np.int64)
        mask = np.array([[1] * len(prompt) + [0] * (width - len(prompt)) for prompt in prompts], np.int64)
        return np.asarray(self.session.run(["logits"], self.feeds(tokens, mask) | empty_cache(self, len(prompts)))[0])

    def feeds(self, tokens: Array, mask: Array) -> dict[str, Array]:
        """The graph's inputs for the newest tokens, the cache left out."""
        feeds = {"input_ids": tokens, "attention_mask": mask}
        if self.takes_positions:
            total, new = mask.shape[1], tokens.shape[1]
            positions = np.arange(total - new, total, dtype=np.int64)
            feeds["position_ids"] = np.repeat(positions[None], len(tokens), axis=0)
        return feeds

    def generate(self, prompts: Sequence[str], *, num_continuations: int = 1, **sampling: Any) -> list[list[str]]:
        """Continuations of each prompt; keywords are those of Sampling. Raises PromptError."""
        if num_continuations < 1:
            raise PromptError(f"num_continuations is {num_continuations}; it must be 1 or more")
        rows = [self.encode(prompt) for prompt in prompts for _ in range(num_continuations)]
        made = self.generate_tokens(rows, self.sampling(**sampling))
        pairs = zip(rows, made, strict=True)
        texts = ["".join(whole_characters(tokens, self.decode, row[-1:])) for row, tokens in pairs]
        return [texts[start : start + num_continuations] for start in range(0, len(texts), num_continuations)]

    def stream(self, prompt: str, **sampling: Any) -> Iterator[str]:
        """The continuation of one prompt in pieces, each of whole characters."""
        row = self.encode(prompt)
        made = self._run([0], [row], self.sampling(**sampling), self.settings.eos_token_id)
        return whole_characters((token for _, token in made), self.decode, row[-1:])

    def generate_tokens(
        self, prompts: Sequence[Sequence[int]], sampling: Sampling, *, end_token: int | None = None
    ) -> list[list[int]]:
        """New token ids of each prompt, up to the end of text (left out), the budget or the end of the context.

        Prompts of one length run as one batch. Every row has its own random numbers, so what it becomes does not
        depend on how many others there are. `end_token` ends a text in place of the model's own (-1: nothing does).
        """
        made: list[list[int]] = [[] for _ in prompts]
        end = self.settings.eos_token_id if end_token is None else end_token
        for length in sorted({len(prompt) for prompt in prompts}):
            rows = [row for row, prompt in enumerate(prompts) if len(prompt) == length]
            for row, token in self._run(rows, [prompts[row] for row in rows], sampling, end):
                made[row].append(token)
        return made

    def _run(
        self, rows: list[int], prompts: Sequence[Sequence[int]], sampling: Sampling, end_token: int
    ) -> Iterator[tuple[int, int]]:
        """Pairs of row and new token for prompts of one length."""
        if (length := len(prompts[0])) > self.longest:
            raise PromptError(f"the prompt has {length} tokens, and the model takes {self.longest} at most; shorten it")
        length = length if self.encoder is None else 0
        capacity = min(length + sampling.max_new_tokens, self.settings.context_length)
        choosers = {row: Chooser(sampling, row) for row in rows}
        in_place = self.settings.in_place_cache
        cache = _InPlaceCache(self, len(rows), capacity) if in_place else GrowingCache(self, len(rows))
        tokens = np.array(prompts, np.int64)
        for total in range(length, capacity):
            logits = cache.step(tokens, total)[:, : self.settings.vocab_size]
            chosen = [choosers[row].choose(scores) for row, scores in zip(rows, logits, strict=True)]
            going = [index for index, token in enumerate(chosen) if token != end_token]
            yield from ((rows[index], chosen[index]) for index in going)
            if not going:
                return
            if len(going) < len(rows):
                rows = [rows[index] for index in going]
                cache.keep(going)
            tokens = np.array([[chosen[index]] for index in going], np.int64)


class GrowingCache:
    """Keys and values of a batch whose rows are equally long, made longer by each step."""

    def __init__(self, model: OnnxModel, rows: int) -> None:
        self.model = model
        self.past, self.seen = empty_cache(model, rows), dict[str, Array]()
        self.outputs = [output.name for output in model.session.get_outputs()]

    def step(self, tokens: Array, total: int) -> Array:
        """Feed the newest tokens (batch, new) and give the logits (batch, vocabulary) after the last of them."""
        if self.model.encoder is not None and not self.seen:
            self.seen = self.model.read(tokens)
            tokens = np.full((len(tokens), 1), self.model.settings.start_token_id, np.int64)
        feeds = self.model.feeds(tokens, np.ones((len(tokens), total), np.int64)) | self.seen | self.past
        made = dict(zip(self.outputs, self.model.session.run(self.outputs, feeds), strict=True))
        self.past = {name: made[name.replace(_PAST, "present")] for name in self.past}
        return np.asarray(made["logits"][:, -1])

    def keep(self, rows: list[int]) -> None:
        """Go on with some of the rows."""
        self.past, self.seen = ({n: array[rows] for n, array in held.items()} for held in (self.past, self.seen))


class _InPlaceCache:
    """The same in buffers of full size that the graph writes to; the mask is as wide, so steps are bound only once."""

    def __init__(self, model: OnnxModel, rows: int, capacity: int) -> None:
        self.model = model
        self._capacity = capacity
        self._bind(empty_cache(model, rows, capacity))

    def step(self, tokens: Array, total: int) -> Array:
        """Logits (batch, vocabulary) after the newest tokens (batch, new); the next step writes over them."""
        rows, new = tokens.shape
        if new != self._bound:
            self._bind_steps(rows, new, total)
        self._feeds["input_ids"][:] = tokens
        self._feeds["attention_mask"][:, total - new : total] = 1
        if "position_ids" in self._feeds:
            self._feeds["position_ids"][:] = np.arange(total - new, total)
        self.model.session.run_with_iobinding(self.binding)
        return self._logits[:, -1]

    def keep(self, rows: list[int]) -> None:
        """Go on with some of the rows."""
        self._bind({name: value.numpy()[rows] for name, value in self.buffers.items()})

    def _bind(self, past: dict[str, Array]) -> None:
        self._bound = 0
        self.buffers = {name: onnxruntime.OrtValue.ortvalue_from_numpy(array) for name, array in past.items()}
        self.binding = self.model.session.io_binding()
        for name, buffer in self.buffers.items():
            self.binding.bind_ortvalue_input(name, buffer)
            self.binding.bind_ortvalue_output(name.replace(_PAST, "present"), buffer)

    def _bind_steps(self, rows: int, new: int, total: int) -> None:
        """What steps of `new` tokens read and write; the graph takes a prompt only with a mask of its own length."""
        self._bound = new
        width = self._capacity if new == 1 else total
        mask = np.tile((np.arange(width) < total).astype(np.int64), (rows, 1))
        self._feeds = self.model.feeds(np.zeros((rows, new), np.int64), mask)
        for name, array in self._feeds.items():
            self.binding.bind_cpu_input(name, array)
        output = next(output for output in self.model.session.get_outputs() if output.name == "logits")
        self._logits = made = np.zeros((rows, new, output.shape[-1]), DTYPES[output.type])
        self.binding.bind_output("logits", "cpu", 0, made.dtype, made.shape, made.ctypes.data)


class Chooser:
    """Draws the tokens of one row."""

    def __init__(self, sampling: Sampling, row: int) -> None:
        self.sampling = sampling
        self.random = default_rng(None if sampling.seed is None else [sampling.seed, row])

    def choose(self, logits: Array) -> int:
        """The next token from the logits (vocabulary)."""
        if self.sampling.greedy:
            return int(logits.argmax())
        order = likeliest(logits, self.sampling.top_k)
        scores = logits[order].astype(np.float64) / self.sampling.temperature
        reached = np.cumsum(np.exp(scores - scores[0]))  # not yet divided by the sum, which is its last
        kept = min(int(np.searchsorted(reached, self.sampling.top_p * reached[-1])), len(order) - 1)
        drawn = self.random.random() * reached[kept]
        return int(order[min(int(np.searchsorted(reached, drawn, side="right")), kept)])


def whole_characters(
    tokens: Iterable[int], decode: Callable[[Sequence[int]], str], before: Sequence[int] = ()
) -> Iterator[str]:
    """The text of tokens as they come. A character whose last bytes are still to come waits for them.

    Bytes that can be part of no character come out as U+FFFD, but for those at the very end. Each piece is decoded
    together with what goes before (at first `before`), for some decoders drop a space where a text begins.
    """
    known, held = list(before), list[int]()
    shown = len(decode(known))
    for token in tokens:
        held.append(token)
        text = decode([*known, *held])
        whole = text.rstrip(_BROKEN)
        if piece := text[shown : len(whole)]:
            yield piece
        shown = max(shown, len(whole))
        if whole == text:
            known, held = held, []
            shown = len(decode(known))


def served_folder(path: str | Path, variant: str | None = None) -> Path:
    """The served folder of a bundle (its served variant unless another is named), or the folder itself if it is one."""
    folder = Path(path)
    if variant is None and any((folder / name).is_file() for name in (GRAPH, DECODER)):
        return folder
    there = sorted({graph.parent.name for name in (GRAPH, DECODER) for graph in folder.glob(f"onnx/*/{name}")})
    if (folder / BUNDLE).is_file() and there:
        served = json.loads((folder / BUNDLE).read_text(encoding="utf-8"))["served"]
        name = variant or (served if served in there else there[0])
        if name in there:
            return folder / "onnx" / name
        raise PromptError(f"{folder}: no variant {name}; there is {', '.join(there)}")
    raise PromptError(f"{folder}: neither a released bundle ({BUNDLE}, onnx/) nor a folder with {GRAPH}")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line of generate.py."""
    parser = argparse.ArgumentParser(description="Continue a prompt with the model in this folder.")
    parser.add_argument("prompt", nargs="+")
    parser.add_argument("--model", default=Path(__file__).resolve().parent, help="bundle or served folder")
    parser.add_argument("--variant", help="fp32, int8 … (default: the one that is served)")
    for option, kind in _NUMBERS.items():
        parser.add_argument(f"--{option}", type=kind)
    parser.add_argument("--greedy", action="store_true", default=None)
    parser.add_argument("--threads", type=int, default=1)
    given = vars(parser.parse_args(arguments))
    prompts, path, variant, threads = (given.pop(name) for name in ("prompt", "model", "variant", "threads"))
    sampling = {name: value for name, value in given.items() if value is not None}
    try:
        model = OnnxModel(served_folder(path, variant), threads=threads)
        for prompt in prompts:
            print(prompt, end="" if model.encoder is None else "\n", flush=True)
            for piece in model.stream(prompt, **sampling):
                print(piece, end="", flush=True)
            print()
    except PromptError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def likeliest(logits: Array, top_k: int) -> Array:
    """Token ids by falling logit, the first k of them (0 for all)."""
    if not 0 < top_k < len(logits):
        return np.argsort(-logits, kind="stable")
    few = np.flatnonzero(logits >= _floor(logits, top_k))
    return np.asarray(few[np.argsort(-logits[few], kind="stable")][:top_k])


def _floor(logits: Array, top_k: int) -> Any:
    """What top_k logits reach and few others do: the top_k-th of the largest of each group, for it is found fast."""
    groups = len(logits) // _GROUP
    largest = logits[: groups * _GROUP].reshape(_GROUP, groups).max(axis=0) if groups >= top_k else logits
    return np.partition(largest, len(largest) - top_k)[len(largest) - top_k]


def empty_cache(model: OnnxModel, rows: int, size: int = 0) -> dict[str, Array]:
    """Keys and values of `size` tokens that are still to come, by the graph's input."""
    shape, tensors = (rows, model.settings.num_kv_heads, size, model.settings.head_dim), model.session.get_inputs()
    return {one.name: np.zeros(shape, DTYPES[one.type]) for one in tensors if one.name.startswith(f"{_PAST}.")}


if __name__ == "__main__":
    sys.exit(main())
