"""Small tokenizers and small weights of every architecture, as others could have left them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, PreTrainedModel
from transformers.utils import logging as logging_of_transformers

from params.model import ModelParams
from tasks.model.build import build_model
from tasks.tokenizer.files import save_tokenizer
from tasks.tokenizer.special import SpecialTokens

CONTEXT = 32
TEXTS = ["The mill grinds the grain into flour. " * 3, "床前明月光，疑是地上霜。" * 3]


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory) -> Path:
    """A folder with a byte-level vocabulary of about 300 entries."""
    return _tokenizer_folder(tmp_path_factory.mktemp("tokenizer"), ())


@pytest.fixture(scope="session")
def larger_tokenizer(tmp_path_factory) -> Path:
    """The same vocabulary and after it: a word, a Chinese word, and a marker of chats."""
    return _tokenizer_folder(tmp_path_factory.mktemp("larger"), (" windmill", "月光曲", "<|im_start|>"))


def _tokenizer_folder(folder: Path, added: tuple[str, ...]) -> Path:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = SpecialTokens()
    trainer = trainers.BpeTrainer(
        vocab_size=310,
        show_progress=False,
        special_tokens=list(special.all),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    tokenizer.add_tokens([AddedToken(token, normalized=False, special=token.startswith("<")) for token in added])
    save_tokenizer(tokenizer, special, folder, chat_template=None)
    return folder


class Bench:
    """Small models, and what one does with them."""

    context = CONTEXT

    @staticmethod
    def model(architecture: str, *, vocab_size: int = 310, seed: int = 1, **shape) -> PreTrainedModel:
        """Two layers with weights as after some training: nothing is zero, so that every part shows in the logits."""
        params = ModelParams(architecture=architecture, **{"layers": 2, "width": 32, "heads": 2, **shape})
        model = build_model(params, vocab_size=vocab_size, context=CONTEXT, begin=0, end=0, padding=1, seed=seed)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
        return model.eval()

    @staticmethod
    def load(folder: Path) -> PreTrainedModel:
        """The model as a user loads it."""
        kind = json.loads((folder / "config.json").read_text())["model_type"]
        auto = AutoModelForSeq2SeqLM if kind == "t5" else AutoModelForCausalLM
        return auto.from_pretrained(folder).eval()

    @staticmethod
    def logits(model: PreTrainedModel, ids: torch.Tensor) -> torch.Tensor:
        """Logits of a forward pass; an encoder-decoder sees the same ids on both sides."""
        more = {"decoder_input_ids": ids} if model.config.is_encoder_decoder else {}
        return model(input_ids=ids, **more).logits

    @staticmethod
    def ids() -> torch.Tensor:
        """Two rows of eight ordinary tokens."""
        return torch.randint(2, 300, (2, 8), generator=torch.Generator().manual_seed(7))

    @staticmethod
    def edit_config(folder: Path, **changes: object) -> None:
        """Change entries of a folder's config.json."""
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    @staticmethod
    def vocab_size(folder: Path) -> int:
        """Entries of a folder's tokenizer."""
        return Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab_size()

    @staticmethod
    def nothing_to_fetch(address: str, cache: Path) -> Path:
        """For sources that need no registry."""
        raise AssertionError(f"{address} was fetched to {cache}")


@pytest.fixture(scope="session")
def bench() -> type[Bench]:
    """The bench of these tests; transformers keeps its progress bars to itself."""
    logging_of_transformers.disable_progress_bar()
    torch.set_num_threads(1)
    return Bench


@pytest.fixture
def weights(bench, tokenizer, tmp_path) -> Callable[..., Path]:
    """`weights(architecture, name, **shape)`: a transformers folder with the weights' own tokenizer."""

    def make(architecture: str = "qwen3", name: str = "weights", **shape) -> Path:
        folder = tmp_path / name
        bench.model(architecture, vocab_size=bench.vocab_size(tokenizer), **shape).save_pretrained(folder)
        shutil.copyfile(tokenizer / "tokenizer.json", folder / "tokenizer.json")
        return folder

    return make
