"""The losses of answers, by arithmetic on a model whose tokens cost what their numbers say."""

from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from params.errors import EvaluationError, ParameterError
from tasks.evaluation.answers import answer_figures, answer_losses, choose_conversations, same_conversations
from tasks.evaluation.figures import Bootstrap
from tasks.examples.conversations import Chat, Message
from tasks.examples.held_out import HELD_OUT, chat_line
from tasks.tokenizer.files import save_tokenizer
from tasks.tokenizer.special import CHATML, SpecialTokens

PLAIN = "{% for m in messages %}{{ m.content }}<|pad|>{% endfor %}"
NO_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}" + PLAIN


class CountingModel:
    """Every target costs 1 nat for each token before it in its window, so that nothing can be mistaken."""

    def __init__(self, context: int) -> None:
        self.context, self.begin, self.vocab_size = context, 0, 400

    def encode(self, text):
        raise AssertionError("conversations are rendered, not encoded as documents")

    def target_nats(self, rows):
        return [np.arange(1.0, len(row)) for row in rows]


def tokenizer(folder: Path, template: str | None) -> Path:
    """One token for each byte."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE(vocab={sign: at for at, sign in enumerate(alphabet)}, merges=[]))
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    folder.mkdir()
    special = SpecialTokens(extra=("<|im_start|>", "<|im_end|>"))
    save_tokenizer(made, special, folder, chat_template=template)
    return folder


def chat(*texts: str, system: str | None = None) -> Chat:
    messages = [Message("system", system)] if system else []
    roles = ("user", "assistant") * len(texts)
    messages += [Message(role, text) for role, text in zip(roles, texts, strict=False)]
    return Chat(tuple(messages), tuple(at for at, message in enumerate(messages) if message.role == "assistant"))


def held_out(folder: Path, *chats: Chat) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / HELD_OUT).write_text("".join(map(chat_line, chats)), encoding="utf-8")
    return folder


def test_only_the_answer_and_its_end_are_scored_and_the_bytes_are_those_of_its_text(tmp_path: Path):
    chats = choose_conversations(held_out(tmp_path / "c", chat("ab", "面c"), chat("a", "b", "c", "de")), None)
    losses = answer_losses(CountingModel(100), tokenizer(tmp_path / "t", PLAIN), chats, batch_tokens=64)
    # a b END 面 (three bytes) c END: targets 3 to 7 of the row; a END b END c END d e END: targets 2, 3, 6, 7 and 8
    assert losses.nats.tolist() == [3 + 4 + 5 + 6 + 7, 2 + 3 + 6 + 7 + 8]
    assert losses.num_targets.tolist() == [5, 5]
    assert losses.num_bytes.tolist() == [4, 3]


def test_what_goes_past_the_context_is_scored_window_by_window(tmp_path: Path):
    chats = choose_conversations(held_out(tmp_path / "c", chat("abcd", "efg")), None)
    losses = answer_losses(CountingModel(4), tokenizer(tmp_path / "t", PLAIN), chats, batch_tokens=8)
    # windows a b c d END | END e f g END: the first has nothing to score, all four targets of the second are
    assert (losses.nats.tolist(), losses.num_targets.tolist()) == ([1 + 2 + 3 + 4], [4])


def test_the_figures_are_per_answer_token_and_per_byte_with_intervals_over_conversations(tmp_path: Path):
    chats = choose_conversations(held_out(tmp_path / "c", chat("ab", "面c"), chat("a", "b", "c", "de")), None)
    losses = answer_losses(CountingModel(100), tokenizer(tmp_path / "t", PLAIN), chats, batch_tokens=64)
    found = answer_figures(losses, Bootstrap(1000, 0.95, 1))
    assert (found["docs"], found["targets"], found["num_bytes"]) == (2, 10, 7)
    assert found["loss"] == pytest.approx(51 / 10)
    assert found["perplexity"] == pytest.approx(np.exp(5.1), abs=1e-3)
    assert found["bits_per_byte"] == pytest.approx(51 / 7 / np.log(2), abs=1e-6)
    # of two conversations drawn anew, a quarter of the draws is twice the one, a quarter twice the other
    assert (found["loss_low"], found["loss_high"]) == (25 / 5, 26 / 5)
    assert sum(part["docs"] for part in found["by_language"].values()) == 2


def test_each_tokenizer_renders_the_same_conversations_with_its_own_template(tmp_path: Path):
    chats = choose_conversations(held_out(tmp_path / "c", chat("ab", "cd")), None)
    plain, chatml = (
        answer_losses(CountingModel(100), tokenizer(tmp_path / name, template), chats, batch_tokens=64)
        for name, template in (("plain", PLAIN), ("chatml", CHATML))
    )
    assert plain.ids == chatml.ids
    assert (plain.num_bytes.tolist(), plain.num_targets.tolist()) == ([2], [3])
    assert (chatml.num_bytes.tolist(), chatml.num_targets.tolist()) == ([2], [3])
    first = len("user\nab\nassistant\n") + len(["begin", "start", "end", "start"])  # what stands before the answer
    assert chatml.nats.tolist() == [3 * first + 1 + 2]


def test_a_conversation_that_the_template_refuses_is_left_out(tmp_path: Path):
    folder = held_out(tmp_path / "c", chat("a", "b", system="be kind"), chat("a", "b"))
    chats = choose_conversations(folder, None)
    losses = answer_losses(CountingModel(100), tokenizer(tmp_path / "t", NO_SYSTEM), chats, batch_tokens=64)
    assert losses.ids == chats.ids[1:]


def test_a_tokenizer_without_a_template_is_refused(tmp_path: Path):
    chats = choose_conversations(held_out(tmp_path / "c", chat("a", "b")), None)
    with pytest.raises(ParameterError, match="has no chat template"):
        answer_losses(CountingModel(100), tokenizer(tmp_path / "t", None), chats, batch_tokens=64)


def test_each_conversation_counts_once_and_some_are_taken_evenly(tmp_path: Path):
    told = [chat(str(number), "yes") for number in range(10)]
    folder = held_out(tmp_path / "c", *told, told[0])
    whole, some = choose_conversations(folder, None), choose_conversations(folder, 5)
    assert whole.chats == told
    assert len(some.ids) == 5
    assert same_conversations(folder, some.ids) == some


def test_no_conversation_held_out_is_an_error_with_the_remedy(tmp_path: Path):
    with pytest.raises(EvaluationError, match=r"raise encode\.validation"):
        choose_conversations(held_out(tmp_path / "c"), None)
