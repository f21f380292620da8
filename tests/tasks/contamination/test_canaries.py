"""Canaries: a search that works finds them, and one that does not is no clean bill."""

from pathlib import Path

import numpy as np
import pytest

from params.decontaminate import DecontaminateParams
from tasks.contamination.canaries import Canary, CanaryError, check, hatch, plant
from tasks.contamination.evaluation import FilePart, Items, collect
from tasks.contamination.index import build_index
from tasks.contamination.ngrams import NgramSizes
from tasks.contamination.removal import Remover
from tasks.contamination.scanning import Scanner
from tasks.contamination.verdicts import Rules
from tasks.files.hashing import hash_files
from tasks.files.listing import Listing

SIZES = NgramSizes(13, 13, 8, 13)
ENGLISH = "It was a bright cold day in April, and the clocks were striking one after the other."
CHINESE = "日照香炉生紫烟，遥看瀑布挂前川。飞流直下三千尺，疑是银河落九天。"
MIXED = "In the village the old miller told everyone who came by: 床前明月光，疑是地上霜。举头望明月，低头思故乡。"


def remover_of(folder: Path, *texts: str, common: tuple[int, ...] = (), action: str = "document") -> Remover:
    """A remover for evaluation texts in files; the n-grams of some of them are common phrases."""
    for number, text in enumerate(texts):
        (folder / f"{number}.txt").write_text(text, encoding="utf-8")
    files = hash_files(folder, Listing([f"{number}.txt" for number in range(len(texts))]), 1)
    tables = [folder / "tables" / f"{number}.arrow" for number in range(len(texts))]
    for file, table in zip(files, tables, strict=True):
        collect(FilePart("quiz", folder, file, "text"), table, sizes=SIZES, max_bytes=1_000_000)
    items = Items(("quiz", table) for table in tables)
    index = build_index(items)
    is_rare = ~np.isin(index.owners, common)  # no n-gram is in two of these texts
    return Remover(DecontaminateParams(action=action), index, items, Rules(0.5, is_rare, range(len(items))))


def send(canaries: list[Canary], remover: Remover, scanner: Scanner, folder: Path) -> None:
    shard = plant(canaries, folder / "canaries.arrow")
    scanner.scan(shard, folder=folder)
    check(canaries, remover.remove(shard, hits=folder, out=folder / "out").overlaps, folder / "out")


def test_a_set_gives_two_canaries_of_either_script(tmp_path: Path):
    remover = remover_of(tmp_path, ENGLISH, CHINESE, MIXED)
    canaries = hatch(remover.items, remover.can_be_found())
    assert [canary.item for canary in canaries] == [0, 0, 1, 1]
    assert canaries[0].text.startswith("IT¶\nWAS¶\nA¶\nBRIGHT")
    assert ENGLISH in canaries[1].text
    assert not canaries[1].text.startswith(ENGLISH)
    assert CHINESE in canaries[3].text


def test_a_common_phrase_makes_no_canary(tmp_path: Path):
    remover = remover_of(tmp_path, ENGLISH, MIXED, common=(0,))
    assert {canary.item for canary in hatch(remover.items, remover.can_be_found())} == {1}


@pytest.mark.parametrize("action", ["document", "span"])
def test_canaries_are_found_by_a_search_that_works(tmp_path: Path, action: str):
    remover = remover_of(tmp_path, ENGLISH, CHINESE, MIXED, action=action)
    canaries = hatch(remover.items, np.ones(3, np.bool_))
    send(canaries, remover, Scanner(remover.index, SIZES), tmp_path / "canaries")


def test_a_search_that_tags_nothing_is_found_out(tmp_path: Path):
    remover = remover_of(tmp_path, ENGLISH, CHINESE)
    canaries = hatch(remover.items, remover.can_be_found())
    other = NgramSizes(12, 13, 8, 13)  # n-grams of another length than the index has
    with pytest.raises(CanaryError, match=r"evaluation text '0\.txt' was not found.*NUMBA_CACHE_DIR"):
        send(canaries, remover, Scanner(remover.index, other), tmp_path / "canaries")


def test_a_search_that_tags_and_lets_pass_is_found_out(tmp_path: Path):
    remover = remover_of(tmp_path, ENGLISH)
    canaries = hatch(remover.items, remover.can_be_found())
    shard = plant(canaries, tmp_path / "canaries.arrow")
    Scanner(remover.index, SIZES).scan(shard, folder=tmp_path)
    found = remover.remove(shard, hits=tmp_path, out=tmp_path / "out")
    with pytest.raises(CanaryError, match="found but not taken out"):
        check(canaries, found.overlaps, tmp_path / "elsewhere")
