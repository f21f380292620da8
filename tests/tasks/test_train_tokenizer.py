"""The tokenizer stage on real text."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from params.errors import ParameterError
from params.train_tokenizer import SpecialTokensParams, TrainTokenizerParams
from tasks.artifacts.digest import digest_file
from tasks.documents.shards import count_rows
from tasks.tokenizer.files import load_tokenizer, special_ids
from tasks.train_tokenizer import train_tokenizer

ROOT = Path(__file__).parents[2]


def made(params, splits, run, out):
    out.mkdir(exist_ok=True)
    return train_tokenizer.work(params, splits, out=out, run=run)


@pytest.fixture(scope="module")
def small(splits, world, tmp_path_factory):
    """A folder that an earlier run left."""
    out = tmp_path_factory.mktemp("small")
    made(TrainTokenizerParams(vocab_size=400, chat_template="chatml"), splits, world, out)
    return out


def fingerprint(params, splits, run):
    return train_tokenizer.recipe(params, (splits,), run).fingerprint


@pytest.mark.parametrize("model", ["bpe", "unigram"])
def test_the_vocabulary_has_the_size_asked_for_and_shortens_text(model, splits, run, tmp_path):
    metrics = made(TrainTokenizerParams(vocab_size=512, model=model), splits, run, tmp_path)
    assert metrics.counts["vocab_size"] == special_ids(tmp_path).vocab_size == 512
    assert len(load_tokenizer(tmp_path).encode("the argument parser returns a string").ids) < 36 / 2
    assert metrics.values["bytes_per_token"] > 2


def test_neither_the_number_of_threads_nor_the_order_of_shards_changes_a_byte(splits):
    code = """
import sys
from pathlib import Path
from tasks.tokenizer.bpe import train_bpe
from tasks.tokenizer.sample import Sample
from tasks.tokenizer.unigram import train_unigram
sample = Sample([Path(path) for path in sys.argv[1:]], max_bytes=10**6)
for train in (train_bpe, train_unigram):
    print(train(sample, vocab_size=600, min_frequency=2).to_str())
"""
    shards = [str(path) for path in splits.paths("train/*.arrow")]
    outputs = set()
    for threads, parallel, order in (("1", "false", shards), ("2", "true", shards[::-1])):
        env = {**os.environ, "RAYON_NUM_THREADS": threads, "TOKENIZERS_PARALLELISM": parallel, "PYTHONPATH": str(ROOT)}
        ended = subprocess.run([sys.executable, "-c", code, *order], env=env, capture_output=True, check=True)
        outputs.add(ended.stdout)
    assert len(outputs) == 1


def test_the_same_text_gives_the_same_files(splits, run, tmp_path):
    digests = []
    for name in ("one", "two"):
        made(TrainTokenizerParams(vocab_size=400), splits, run, tmp_path / name)
        digests.append({path.name: digest_file(path) for path in (tmp_path / name).glob("*.json")})
    assert digests[0] == digests[1]
    assert set(digests[0]) == {"tokenizer.json", "tokenizer_config.json", "report.json"}


def test_only_the_training_split_is_learned_from_and_only_validation_measured(splits, run, tmp_path):
    metrics = made(TrainTokenizerParams(vocab_size=300), splits, run, tmp_path)
    assert metrics.counts["sample_docs"] == sum(count_rows(path) for path in splits.paths("train/*.arrow"))
    assert metrics.counts["held_out_docs"] == sum(count_rows(path) for path in splits.paths("validation/*.arrow"))


def test_the_report_the_figures_and_the_picture_agree(splits, run, tmp_path):
    metrics = made(TrainTokenizerParams(vocab_size=512), splits, run, tmp_path)
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["vocab_size"] == 512
    assert report["by_language"]["Latin"]["bytes_per_token"] == metrics.values["bytes_per_token.Latin"]
    assert report["held_out"]["bytes"] == sum(group["bytes"] for group in report["by_source"].values())
    assert report["num_unused"] == metrics.counts["unused_tokens"]
    assert metrics.counts["changed_by_round_trip"] == 0
    assert "never used" in metrics.headline
    assert (tmp_path / "logs" / "vocabulary.png").stat().st_size > 10_000


def test_special_tokens_and_a_chat_template_of_ones_own(splits, run, tmp_path):
    from transformers import AutoTokenizer

    template = tmp_path / "talk.jinja"
    template.write_text("{% for m in messages %}<|{{ m.role }}|><|turn|>{{ m.content }}</turn>{% endfor %}")
    special = SpecialTokensParams(end_of_text="<eos>", padding="<fill>", extra=("</turn>", "<|user|>"))
    params = TrainTokenizerParams(vocab_size=400, special_tokens=special, chat_template=str(template))
    made(params, splits, run, tmp_path / "out")
    loaded = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert (loaded.bos_token, loaded.eos_token, loaded.pad_token) == ("<eos>", "<eos>", "<fill>")
    ids = loaded.apply_chat_template([{"role": "user", "content": ""}])["input_ids"]
    assert loaded.convert_ids_to_tokens(ids) == ["<|user|>", "<|turn|>", "</turn>"]


@pytest.mark.parametrize("token", ["user", "###"])
def test_a_special_token_that_any_text_may_hold_is_refused(token, splits, run, tmp_path):
    params = TrainTokenizerParams(special_tokens=SpecialTokensParams(extra=(token,)))
    with pytest.raises(ParameterError, match=rf"{token} is a word.*<\|{token}\|>"):
        made(params, splits, run, tmp_path)


def test_a_loaded_tokenizer_gives_the_ids_it_gave(small, splits, run, tmp_path):
    metrics = made(TrainTokenizerParams(from_path=str(small)), splits, run, tmp_path)
    assert load_tokenizer(tmp_path).get_vocab() == load_tokenizer(small).get_vocab()
    assert special_ids(tmp_path) == special_ids(small)
    assert metrics.counts["vocab_size"] == 400
    assert (tmp_path / "chat_template.jinja").read_text() == (small / "chat_template.jinja").read_text()


def test_a_tokenizer_that_loses_text_is_refused(small, splits, run, tmp_path):
    from tokenizers import Tokenizer, normalizers

    tokenizer = Tokenizer.from_file(str(small / "tokenizer.json"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.save(str(tmp_path / "lower.json"))
    with pytest.raises(ParameterError, match=r"does not give back every text: 'The quick .* becomes 'the quick"):
        made(TrainTokenizerParams(from_path=str(tmp_path / "lower.json")), splits, run, tmp_path / "out")


def test_only_what_a_loaded_tokenizer_holds_makes_it_run_again(small, splits, run, tmp_path):
    import shutil

    before = fingerprint(TrainTokenizerParams(from_path=str(small)), splits, run)
    shutil.copytree(small, tmp_path / "moved")
    moved = str(tmp_path / "moved")
    assert fingerprint(TrainTokenizerParams(from_path=moved), splits, run) == before
    assert fingerprint(TrainTokenizerParams(from_path=moved, vocab_size=999), splits, run) == before
    assert fingerprint(TrainTokenizerParams(from_path=moved, chat_template="chatml"), splits, run) != before
    (tmp_path / "moved" / "tokenizer_config.json").write_text("{}")
    assert fingerprint(TrainTokenizerParams(from_path=moved), splits, run) != before


def test_a_chat_template_counts_by_its_text(splits, run, tmp_path):
    prints = []
    for name, text in (("a", "x"), ("b", "x"), ("c", "y")):
        (tmp_path / name).write_text(text)
        prints.append(fingerprint(TrainTokenizerParams(chat_template=str(tmp_path / name)), splits, run))
    assert prints[0] == prints[1] != prints[2]
    with pytest.raises(ParameterError, match=r"chat_template: .*nowhere is no file; name chatml"):
        fingerprint(TrainTokenizerParams(chat_template=str(tmp_path / "nowhere")), splits, run)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"special_tokens": {"end_of_text": "<a>", "padding": "<a>"}}, "are both <a>"),
        ({"special_tokens": {"extra": [""]}}, "is empty"),
        ({"vocab_size": 300, "special_tokens": {"extra": [f"<{n}>" for n in range(50)]}}, "special tokens take: 308"),
    ],
)
def test_parameters_that_cannot_be_met_are_refused(values, message):
    with pytest.raises(ValidationError, match=message):
        TrainTokenizerParams.model_validate(values)
