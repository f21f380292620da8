"""Encode the documents and pack them into token shards."""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import chain, islice, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from params.errors import SourceError
from params.shard import ShardParams
from tasks.artifacts.digest import write_atomic
from tasks.artifacts.intermediate import scratch_folder
from tasks.artifacts.manifest import Manifest, Metrics
from tasks.context import Run
from tasks.stage import stage

if TYPE_CHECKING:
    from tasks.shards.documents import Index
    from tasks.shards.encoding import Encoded
    from tasks.shards.mixture import Mixture
    from tasks.shards.packing import Copies, Layout
    from tasks.shards.stream import TokenStream
    from tasks.tokenizer.encoder import Encoder
    from tasks.tokenizer.files import SpecialIds

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")
REPORT_NAME = "report.json"


@dataclass(frozen=True)
class _Work:
    """What every step of the stage needs."""

    params: ShardParams
    encoder: "Encoder"
    ids: "SpecialIds"
    out: Path
    scratch: Path
    run: Run


@stage(version=3)
def shard(params: ShardParams, tokenizer: Manifest, splits: Manifest, *, out: Path, run: Run) -> Metrics:
    """Token blocks of every split, with tables of where each document lies.

    Validation and test are always greedy streams of every document once, in document order; packing, mixture and
    shuffling are for training alone. Leaves {split}/NNNNNN.arrow (blocks), documents/{split}.arrow, report.json, and
    pieces/train/NNNNNN.arrow where the documents' offsets alone do not say where they lie.
    """
    from tasks.tokenizer.encoder import Encoder
    from tasks.tokenizer.files import special_ids

    encoder = Encoder(tokenizer.folder)
    work = _Work(params, encoder, special_ids(tokenizer.folder, encoder.reference), out, scratch_folder(out), run)
    encoded = _encode(splits, work)
    made = {split: _shard_split(split, encoded[split], work) for split in SPLITS}
    train = made["train"]["counts"]
    if train["blocks"] < 2:
        raise SourceError(
            f"the training split has {train['tokens']:,} tokens, less than two blocks of shard.context "
            f"{params.context}; bring more text or lower --set shard.context"
        )
    write_atomic(out / REPORT_NAME, json.dumps({"packing": params.packing, **made}, indent=1))
    shutil.rmtree(work.scratch)
    counts = {f"{split}_{name}": count for split in SPLITS for name, count in made[split]["counts"].items()}
    num_bytes = sum(counts[f"{split}_bytes"] for split in SPLITS)
    num_tokens = sum(made[split]["encoded_tokens"] for split in SPLITS)
    return Metrics(
        counts=counts,
        values={"bytes_per_token": num_bytes / max(num_tokens, 1), **made["train"]["packing"]},
        headline=f"{train['tokens'] / 1e6:,.2f} M training tokens in {train['blocks']:,} blocks",
        speed=(num_bytes / 1e6, "MB"),
    )


def _shard_split(split: Split, encoded: "list[Encoded]", work: _Work) -> dict[str, Any]:
    """Make the blocks and tables of a split; its part of the report."""
    from tasks.shards.documents import count_bytes, read_index, write_documents
    from tasks.shards.packing import token_dtype
    from tasks.shards.stream import TokenStream

    params = work.params
    is_mixed = split == "train" and (params.mixture or params.max_tokens or params.shuffle_seed is not None)
    index = read_index(encoded, seed=(params.shuffle_seed or 0) if is_mixed else None, run_map=work.run.map)
    stream = TokenStream([part.tokens for part in encoded], token_dtype(work.ids.vocab_size))
    mixture = _mix(index, params) if is_mixed else None
    layout = _lay_out(split, stream, index, mixture, work)
    table = work.out / "documents" / f"{split}.arrow"
    in_order = mixture is None and (split != "train" or params.packing == "greedy")
    offsets = index.starts[:-1] if in_order else None
    _write(split, layout, partial(write_documents, table, encoded, offsets), work)
    num_tokens = len(stream) - index.num_docs
    used = num_tokens if mixture is None else sum(use.used_tokens for use in mixture.uses)
    report = {
        "counts": {
            "docs": index.num_docs,
            "bytes": count_bytes(table),
            "tokens": used,
            "blocks": layout.num_blocks,
        },
        "encoded_tokens": num_tokens,
        "packing": _shares(layout, params.context),
    }
    if mixture is not None:
        report["mixture"] = [asdict(use) | {"repeats": round(use.repeats, 4)} for use in mixture.uses]
    return report


def _encode(splits: Manifest, work: _Work) -> "dict[Split, list[Encoded]]":
    """All splits at once: no worker waits for the last shard of one."""
    paths = {split: splits.paths(f"{split}/*.arrow") for split in SPLITS}
    unit = partial(_encode_shard, scratch=work.scratch, encoder=work.encoder, begin=work.ids.begin)
    made = iter(work.run.map(unit, list(chain.from_iterable(paths.values())), name="encode shard"))
    return {split: list(islice(made, len(paths[split]))) for split in SPLITS}


def _encode_shard(source: Path, *, scratch: Path, encoder: "Encoder", begin: int) -> "Encoded":
    """Encode a shard of a split, which its folder is named after."""
    from tasks.shards.encoding import Encoded, encode_shard

    folder = scratch / source.parent.name
    into = Encoded(folder / f"{source.stem}.tokens", folder / source.name)
    if not into.done:
        encode_shard(source, into, encoder=encoder, begin=begin)
    return into


def _mix(index: "Index", params: ShardParams) -> "Mixture":
    from tasks.shards.mixture import mix

    return mix(index, params.mixture, max_repeats=params.max_repeats, max_tokens=params.max_tokens)


def _lay_out(split: Split, stream: "TokenStream", index: "Index", mixture: "Mixture | None", work: _Work) -> "Layout":
    """Decide which tokens stand in which block."""
    from tasks.shards.greedy import Greedy
    from tasks.shards.ordering import spread
    from tasks.shards.packing import BlockFormat, Copies

    shape = BlockFormat(work.params.context, work.ids.begin, work.ids.padding)
    order = spread(index, mixture.copies, shuffled=work.params.shuffle_seed is not None) if mixture else None
    copies = Copies(index.starts, order.documents if order else None)
    if split == "train" and work.params.packing == "best_fit":
        from tasks.shards.best_fit import BestFit

        return BestFit(stream, index.starts, _pack_windows(copies, order.breaks if order else [], work), shape)
    return Greedy(stream, copies, shape)


def _pack_windows(copies: "Copies", breaks: list[int], work: _Work) -> list[Path]:
    from tasks.shards.best_fit import cut_windows

    bounds = cut_windows(copies, work.params.context, breaks=breaks)
    unit = partial(_pack, copies=copies, context=work.params.context, folder=work.scratch / "windows")
    return work.run.map(unit, list(enumerate(pairwise(bounds))), name="pack window")


def _pack(window: tuple[int, tuple[int, int]], *, copies: "Copies", context: int, folder: Path) -> Path:
    """Pack a window of copies, given by its number and its bounds."""
    from tasks.shards.best_fit import pack_window, save_window

    number, (first, last) = window
    path = folder / f"{number:06d}.npy"
    if not path.exists():
        pieces = pack_window(copies.lengths(first, last), context)
        save_window(path, replace(pieces, document=copies.documents(first, last)[pieces.document]))
    return path


def _write(split: Split, layout: "Layout", write_table: Callable[[], None], work: _Work) -> None:
    """Write the block files, each of them a unit of work, beside them where their pieces come from, and the table."""
    from tasks.shards.packing import portions

    size = work.params.blocks_per_shard
    unit = partial(_write_part, write_table=write_table, layout=layout, split=split, size=size, out=work.out)
    work.run.map(unit, [None, *portions(layout.num_blocks, size)], name=f"write {split} blocks")


def _write_part(
    bounds: tuple[int, int] | None,
    *,
    write_table: Callable[[], None],
    layout: "Layout",
    split: Split,
    size: int,
    out: Path,
) -> None:
    """Write the blocks between bounds, or the table where there are none."""
    from tasks.documents.shards import shard_name, shard_writer
    from tasks.shards.blocks import write_blocks
    from tasks.shards.packing import PIECE
    from tasks.shards.places import PIECES_FOLDER

    if bounds is None:
        write_table()
        return
    first, last = bounds
    path = out / split / shard_name(first // size)
    if path.exists():
        return
    if (pieces := layout.pieces(first, last)) is not None:
        with shard_writer(out / PIECES_FOLDER / split / path.name, PIECE) as writer:
            writer.write_batch(pieces.table())
    write_blocks(path, layout, first, last)


def _shares(layout: "Layout", context: int) -> dict[str, float]:
    figures = layout.figures
    return {
        "padding_share": round(figures.num_padding / max(layout.num_blocks * context, 1), 6),
        "cropped_docs_share": round(figures.num_cropped / max(figures.num_copies, 1), 6),
        "pieces_per_doc": round(figures.num_pieces / max(figures.num_copies, 1), 4),
    }
