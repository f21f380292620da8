"""Recipes, fingerprints and digests."""

from pathlib import Path

import pytest

from params.base import Params
from tasks.artifacts.manifest import FileRecord, Manifest, digest_files, recipe_of


class Knob(Params):
    """One parameter."""

    turns: int = 1


def manifest(stage: str = "clean", fingerprint: str = "f", digest: str = "d", files=()) -> Manifest:
    return Manifest(
        stage=stage, version=1, fingerprint=fingerprint, digest=digest, params={}, inputs={}, files=tuple(files)
    )


def test_the_same_recipe_has_the_same_fingerprint():
    first, second = (recipe_of("dedup", 1, Knob(), {"cleaned": manifest()}) for _ in range(2))
    assert first.fingerprint == second.fingerprint
    assert len(first.fingerprint) == 32


@pytest.mark.parametrize(
    "other",
    [
        recipe_of("split", 1, Knob(), {"cleaned": manifest()}),
        recipe_of("dedup", 2, Knob(), {"cleaned": manifest()}),
        recipe_of("dedup", 1, Knob(turns=2), {"cleaned": manifest()}),
        recipe_of("dedup", 1, Knob(), {"cleaned": manifest(digest="e")}),
        recipe_of("dedup", 1, Knob(), {"other": manifest()}),
    ],
    ids=["stage", "version", "parameter", "input bytes", "input name"],
)
def test_whatever_decides_the_bytes_changes_the_fingerprint(other):
    assert other.fingerprint != recipe_of("dedup", 1, Knob(), {"cleaned": manifest()}).fingerprint


def test_an_input_made_anew_with_the_same_bytes_changes_nothing_downstream():
    before = recipe_of("dedup", 1, Knob(), {"cleaned": manifest(fingerprint="old recipe")})
    after = recipe_of("dedup", 1, Knob(), {"cleaned": manifest(fingerprint="new recipe")})
    assert before.fingerprint == after.fingerprint


def test_volatile_files_are_no_part_of_the_digest():
    kept = FileRecord(path="a", size_bytes=1, sha256="x")
    log = FileRecord(path="logs/time.txt", size_bytes=9, sha256="y", volatile=True)
    assert digest_files((kept, log)) == digest_files((kept,))
    assert digest_files((kept,)) != digest_files(())


def test_paths_come_in_name_order_and_match_a_pattern(tmp_path: Path):
    files = [FileRecord(path=path, size_bytes=0, sha256="") for path in ("kept/2.arrow", "kept/1.arrow", "log.txt")]
    found = manifest(files=files).located(tmp_path).paths("kept/*.arrow")
    assert found == [tmp_path / "kept/1.arrow", tmp_path / "kept/2.arrow"]


def test_a_pattern_matches_whole_paths_and_not_the_ends_of_longer_ones(tmp_path: Path):
    files = [FileRecord(path=path, size_bytes=0, sha256="") for path in ("train/0.arrow", "pieces/train/0.arrow")]
    assert manifest(files=files).located(tmp_path).paths("train/*.arrow") == [tmp_path / "train/0.arrow"]


def test_a_pending_result_stands_for_one_not_made_yet():
    assert Manifest.pending("train").is_pending
    assert not manifest().is_pending


def test_keys_of_a_newer_format_are_read_over():
    text = manifest().model_dump_json().replace('"format":1', '"format":2,"new":true')
    assert Manifest.model_validate_json(text).format == 2
