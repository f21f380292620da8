"""A transformers folder as a model to evaluate, in float32."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer
from torch.nn import functional

from params.errors import ModelFileError
from tasks.evaluation.language_model import in_parts, pad_rows
from tasks.model.quiet import quiet_transformers
from tasks.serving.generator import Sampling
from tasks.tokenizer.files import CONFIG, TOKENIZER, load_tokenizer, spelling

NO_LIMIT = 1024
"""Context of an architecture whose positions have no end."""
_IGNORED = -100


class TrainedModel:
    """Weights, configuration and tokenizer as transformers saves them."""

    def __init__(self, folder: Path, *, threads: int, device: torch.device, weights: Path | None = None) -> None:
        """Load a folder, with the weights of a checkpoint in the place of its own where `weights` names some."""
        from transformers import AutoModelForCausalLM

        torch.set_float32_matmul_precision("high")
        loaded = load_transformers(AutoModelForCausalLM, folder, threads=threads, weights=weights, attention="sdpa")
        self.model, self.device = loaded.to(device), device
        self.tokenizer = load_tokenizer(folder)
        config = self.model.config.get_text_config()
        self.begin, self.end = _begin_and_end(folder, self.tokenizer)
        self.context = int(getattr(config, "max_position_embeddings", None) or NO_LIMIT)
        self.vocab_size = int(config.vocab_size)

    def encode(self, text: str) -> list[int]:
        """Token ids of a text, without the begin token."""
        return list(self.tokenizer.encode(text, add_special_tokens=False).ids)

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of token ids, special tokens left out."""
        return str(self.tokenizer.decode(list(tokens), skip_special_tokens=True))

    def target_nats(self, rows: Sequence[Sequence[int]]) -> list[npt.NDArray[np.float64]]:
        """Cross-entropy in nats of every token but the first of each row."""
        found: list[npt.NDArray[np.float64]] = []
        for part in in_parts(rows, self.vocab_size):
            found += [losses[: len(row) - 1] for losses, row in zip(self._losses(part), part, strict=True)]
        return found

    def _losses(self, rows: Sequence[Sequence[int]]) -> npt.NDArray[np.float64]:
        padded, real = pad_rows(rows, self.begin)
        tokens, mask = (torch.from_numpy(array).to(self.device) for array in (padded, real))
        targets = tokens[:, 1:].masked_fill(mask[:, 1:] == 0, _IGNORED)
        with torch.inference_mode():
            # Rows are filled up on the right, where no real token looks: causal attention needs no mask for it.
            logits = self.model(input_ids=tokens[:, :-1], use_cache=False).logits.float()
            flat = functional.cross_entropy(
                logits.flatten(0, 1), targets.flatten(), ignore_index=_IGNORED, reduction="none"
            )
        return np.asarray(flat.view_as(targets).cpu().double())

    def continuations(
        self, rows: Sequence[Sequence[int]], *, new: int, seed: int | None = None, end: bool = True
    ) -> list[list[int]]:
        """New tokens after each row: greedy without a seed, else drawn as generate.py draws by default."""
        made: list[list[int]] = [[] for _ in rows]
        if seed is not None:
            torch.manual_seed(seed)
        for length in sorted({len(row) for row in rows}):
            places = [place for place, row in enumerate(rows) if len(row) == length]
            for place, tokens in zip(places, self._generate([rows[place] for place in places], new, seed), strict=True):
                made[place] = tokens[: tokens.index(self.end)] if end and self.end in tokens else tokens
        return made

    def _generate(self, rows: Sequence[Sequence[int]], new: int, seed: int | None) -> list[list[int]]:
        """Tokens after rows of one length; what comes after an end of text is for the caller to cut."""
        tokens, cache, chosen = torch.tensor([list(row) for row in rows], device=self.device), None, []
        with torch.inference_mode():
            for _ in range(min(new, self.context - tokens.shape[1])):
                made = self.model(input_ids=tokens, cache=cache, use_cache=True)
                cache = made.cache
                tokens = _choose(made.logits[:, -1].float(), seed is not None)
                chosen.append(tokens)
        return [list(map(int, row)) for row in torch.cat(chosen, dim=1).cpu()] if chosen else [[] for _ in rows]


def _begin_and_end(folder: Path, tokenizer: Tokenizer) -> tuple[int, int]:
    """What leads and what ends a text; one stands for the other where only one of them is named (Qwen, GPT-NeoX)."""
    named = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    spelled = [token for name in ("bos_token", "eos_token") if (token := spelling(named.get(name))) is not None]
    ids = [found for token in spelled if (found := tokenizer.token_to_id(token)) is not None]
    if not ids:
        raise ModelFileError(f"{folder / CONFIG}: names neither a bos_token nor an eos_token of {TOKENIZER}")
    return int(ids[0]), int(ids[-1])


def load_transformers(
    auto_class: Any, folder: Path, *, threads: int, weights: Path | None, attention: str | None = None
) -> Any:
    """The model of a transformers folder with its tokenizer, in float32, for evaluation.

    The weights of a checkpoint stand in the place of its own where `weights` names some. Raises ModelFileError.
    """
    for name in ("config.json", TOKENIZER, CONFIG):
        if not (folder / name).is_file():
            raise ModelFileError(f"{folder}: {name} is missing; a transformers folder with its tokenizer is needed")
    torch.set_num_threads(threads)
    options = {} if attention is None else {"attn_implementation": attention}
    with quiet_transformers():
        model = auto_class.from_pretrained(
            folder, dtype=torch.float32, local_files_only=True, trust_remote_code=False, **options
        )
    if weights is not None:
        replace_weights(model, weights)
    return model.eval()


def replace_weights(model: torch.nn.Module, weights: Path) -> None:
    """Put the weights of a checkpoint into a model. Raises ModelFileError where they are another model's."""
    from safetensors.torch import load_file

    tensors = load_file(weights)
    try:
        found = model.load_state_dict(tensors, strict=False)
    except RuntimeError as error:
        raise ModelFileError(f"{weights}: {str(error).splitlines()[-1].strip()}") from None
    tied: Any = getattr(model, "_tied_weights_keys", None) or ()
    missing = [name for name in found.missing_keys if name not in tied]
    if missing or found.unexpected_keys:
        raise ModelFileError(f"{weights}: lacks {missing[:3]}, has {found.unexpected_keys[:3]} that the model has not")


def chosen_device(setting: str) -> torch.device:
    """The device that `run.device` stands for on this machine."""
    return torch.device("cuda" if setting != "cpu" and torch.cuda.is_available() else "cpu")


def _choose(logits: torch.Tensor, drawn: bool) -> torch.Tensor:
    """The next token (batch, 1) from logits (batch, vocabulary)."""
    if not drawn:
        return logits.argmax(-1, keepdim=True)
    sampling = Sampling()
    scores, ids = torch.topk(logits, min(sampling.top_k, logits.shape[-1]))
    weights = torch.softmax(scores / sampling.temperature, -1)
    before = weights.cumsum(-1) - weights
    weights = weights.masked_fill(before >= sampling.top_p, 0.0)
    return ids.gather(-1, torch.multinomial(weights, 1))
