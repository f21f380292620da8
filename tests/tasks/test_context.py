"""A run's map: what is begun when, and what comes back."""

from pathlib import Path

import pytest

from tasks.context import Run
from tasks.engine import largest_first


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Files of 1, 5, 0, 3 and 5 bytes."""
    paths = [tmp_path / name for name in "abcde"]
    for path, size in zip(paths, (1, 5, 0, 3, 5), strict=True):
        path.write_bytes(b"x" * size)
    return paths


def test_large_files_are_begun_first_and_results_keep_the_order_of_the_items(run: Run, files: list[Path]):
    run.settings = run.settings.model_copy(update={"workers": 1})
    begun: list[str] = []

    def unit(path: Path) -> str:
        begun.append(path.name)
        return path.name

    assert run.map(unit, files, name="look at file") == list("abcde")
    assert begun == list("bedac")


def test_what_is_no_file_is_begun_in_order(tmp_path: Path):
    assert largest_first([3, 1, 2]) == [0, 1, 2]
    assert largest_first([None, tmp_path / "absent", (4, 5)]) == [0, 1, 2]


def test_of_several_failures_the_first_in_the_order_of_the_items_is_told(run: Run, files: list[Path]):
    def unit(path: Path) -> None:
        raise ValueError(path.name)

    with pytest.raises(ValueError, match="a"):
        run.map(unit, files, name="look at file")
