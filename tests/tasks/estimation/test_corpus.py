"""What is known of the text: from results, else from the size of the files and stated assumptions."""

from pathlib import Path

import pytest

from params.pipeline import PipelineParams
from params.survey import SourceParams, SurveyParams
from tasks.artifacts.manifest import Manifest, Metrics
from tasks.estimation.corpus import assumed_bytes_per_token, corpus_of, listed_bytes


def params_of(folder: Path) -> PipelineParams:
    return PipelineParams(survey=SurveyParams(sources=(SourceParams(name="text", path=str(folder)),)))


def result(stage: str, counts: dict[str, int], values: dict[str, float] | None = None) -> Manifest:
    metrics = Metrics(counts=counts, values=values or {})
    return Manifest(
        stage=stage, version=1, fingerprint="f", digest="d", params={}, inputs={}, files=(), metrics=metrics
    )


def test_counted_tokens_are_used_as_they_are(tmp_path):
    shards = result("shard", {"train_tokens": 1000, "train_blocks": 4}, {"bytes_per_token": 3.5})
    tokenizer = result("train_tokenizer", {"vocab_size": 4000})
    found = corpus_of(params_of(tmp_path), {"shard": shards, "train_tokenizer": tokenizer}, listed_bytes=9)
    assert (found.train_tokens, found.num_blocks, found.vocab_size, found.bytes_per_token) == (1000, 4, 4000, 3.5)
    assert found.notes == ("text: 1,000 training tokens, counted by the shard stage",)


def test_without_results_what_is_assumed_is_said(tmp_path):
    """10 MB, 70 % kept, 96 % for training, by default 8,192 entries: 3.1 + 0.168 bytes a token."""
    found = corpus_of(params_of(tmp_path), {}, listed_bytes=10_000_000)
    assert found.train_tokens == pytest.approx(10e6 * 0.7 * 0.96 / 3.268, rel=1e-6)
    assert found.num_blocks == (found.train_tokens or 0) // 256
    assert any("70% assumed to be kept, 3.27 bytes a token assumed" in note for note in found.notes)
    assert any("the tokenizer is not trained yet" in note for note in found.notes)


def test_what_cleaning_kept_is_used_where_it_is_known(tmp_path):
    results = {
        "clean": result("clean", {"docs_in": 100, "docs_kept": 80}),
        "dedup": result("dedup", {"docs_in": 80, "docs_kept": 40}),
    }
    found = corpus_of(params_of(tmp_path), results, listed_bytes=10_000_000)
    assert found.train_tokens == pytest.approx(10e6 * 0.4 * 0.96 / 3.268, rel=1e-6)


def test_pending_results_and_missing_text_are_unknown(tmp_path):
    found = corpus_of(params_of(tmp_path), {"shard": Manifest.pending("shard")}, listed_bytes=None)
    assert (found.train_tokens, found.num_blocks) == (None, None)
    assert any("unknown" in note for note in found.notes)


def test_files_are_sized_without_being_read(tmp_path):
    (tmp_path / "诗.txt").write_text("床前明月光")
    (tmp_path / "a.txt").write_bytes(b"x" * 100)
    (tmp_path / "a.bin").write_bytes(b"x" * 1000)
    params = params_of(tmp_path).survey
    assert listed_bytes(params, {"text": tmp_path}) == 115
    assert listed_bytes(params, {"text": tmp_path / "a.txt"}) == 100
    assert listed_bytes(params, {"text": tmp_path / "missing"}) is None


def test_a_larger_vocabulary_has_longer_tokens():
    """Dubey et al. (2024), section 3.2: 3.94 characters a token with 128,000 entries, on English."""
    assert assumed_bytes_per_token(131_072) == pytest.approx(3.94)
    assert assumed_bytes_per_token(4_096) == pytest.approx(3.1)
