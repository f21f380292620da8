"""Bundles on disk."""

import subprocess

import pytest

from params.errors import ReleaseError
from tasks.registry.bundle import SUMS, place_folder, read_sums, variant_files, variants_in, verify_files, write_sums


@pytest.fixture
def bundle(tmp_path):
    folder = tmp_path / "bundle"
    for name in ("generate.py", "onnx/int8/model.onnx", "onnx/fp32/model.onnx", "transformers/a b.json"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    write_sums(folder)
    return folder


def test_sha256sum_accepts_the_sums(bundle):
    done = subprocess.run(
        ["sha256sum", "--strict", "-c", SUMS], cwd=bundle, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_changed_and_a_missing_file_are_named(bundle):
    sums = read_sums(bundle / SUMS)
    verify_files(bundle, sums)
    (bundle / "generate.py").write_text("x")
    (bundle / "onnx/int8/model.onnx").unlink()
    with pytest.raises(
        ReleaseError, match=r"2 of 4 files are missing or differ .*: generate.py, onnx/int8/model.onnx;"
    ):
        verify_files(bundle, sums)


def test_one_variant_takes_its_own_folder_and_the_common_files(bundle):
    names = read_sums(bundle / SUMS)
    assert variants_in(names) == ["fp32", "int8"]
    assert variant_files(names, "int8") == ["generate.py", "onnx/int8/model.onnx"]


def test_files_are_linked_not_copied_and_what_is_skipped_stays(bundle, tmp_path):
    place_folder(bundle, tmp_path / "other", skip=("transformers",))
    assert (tmp_path / "other/generate.py").stat().st_ino == (bundle / "generate.py").stat().st_ino
    assert not (tmp_path / "other/transformers").exists()
