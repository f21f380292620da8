"""What indexes a home has, how large they are, and on which results of dedup they stand."""

from dataclasses import dataclass
from pathlib import Path

from tasks.artifacts.store import size_of
from tasks.duplicates.arrays import load_array
from tasks.duplicates.chain import Chain, chains, segment_results
from tasks.duplicates.segment_files import INDEX_FOLDER, SURVIVORS


@dataclass(frozen=True)
class IndexOverview:
    """An index as people see it."""

    name: str
    batches: tuple[str, ...]
    """Fingerprints of the results that added to it, oldest first."""
    segments: tuple[str, ...]
    """Fingerprints of the results that hold it now: the others were merged into these."""
    gone: tuple[str, ...]
    """Those of them that are not here any more."""
    num_texts: int
    size_bytes: int


def overviews(store: Path) -> list[IndexOverview]:
    """Every index of a store, by name."""
    return [_overview(store, chain) for chain in chains(store)]


def _overview(store: Path, chain: Chain) -> IndexOverview:
    batches = tuple(link.fingerprint for link in chain.links)
    segments = segment_results(store / "dedup" / batches[-1]) if batches else []
    folders = {segment: store / "dedup" / segment / INDEX_FOLDER for segment in segments}
    here = [folder for folder in folders.values() if (folder / SURVIVORS).exists()]
    return IndexOverview(
        chain.name,
        batches,
        tuple(segments),
        tuple(segment for segment, folder in folders.items() if folder not in here),
        num_texts=sum(len(load_array(folder / SURVIVORS)) for folder in here),
        size_bytes=sum(map(size_of, here)),
    )
