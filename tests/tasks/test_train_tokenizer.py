"""The tokenizer stage on real text."""

from params.train_tokenizer import TrainTokenizerParams
from tasks.artifacts.digest import digest_file
from tasks.documents.shards import count_rows
from tasks.tokenizer.files import load_tokenizer
from tasks.train_tokenizer import train_tokenizer


def test_the_vocabulary_has_the_size_asked_for_and_shortens_text(splits, run, tmp_path):
    metrics = train_tokenizer.work(TrainTokenizerParams(vocab_size=512), splits, out=tmp_path, run=run)
    assert metrics.counts["vocab_size"] == 512
    assert len(load_tokenizer(tmp_path).encode("the argument parser returns a string").ids) < 36 / 2
    assert metrics.values["bytes_per_token"] > 2


def test_the_same_text_gives_the_same_files(splits, run, tmp_path):
    digests = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        train_tokenizer.work(TrainTokenizerParams(vocab_size=400), splits, out=tmp_path / name, run=run)
        digests.append(digest_file(tmp_path / name / "tokenizer.json"))
    assert digests[0] == digests[1]


def test_only_the_training_split_is_learned_from(splits, run, tmp_path):
    metrics = train_tokenizer.work(TrainTokenizerParams(vocab_size=300), splits, out=tmp_path, run=run)
    assert metrics.counts["sample_docs"] == sum(count_rows(path) for path in splits.paths("train/*.arrow"))
