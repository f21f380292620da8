"""Best-fit packing against blocks made by hand and a plain best-fit decreasing."""

from itertools import pairwise

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from params.train import ModelParams
from tasks.model.build import build_model
from tasks.shards.best_fit import BestFit, cut_windows, pack_window, save_window
from tasks.shards.packing import BlockFormat, Copies
from tasks.training.batch import IGNORED, make_batch, num_targets
from tasks.training.objective import token_losses

BEGIN, PADDING = 0, 1
documents = st.lists(st.lists(st.integers(2, 15), max_size=30), min_size=1, max_size=15)

BY_HAND = [[11, 12, 13, 14, 15, 16], [21], [31, 32, 33], [], [51, 52]]
PACKED = [[0, 11, 12, 13, 14], [0, 15, 16, 0, 1], [0, 21, 0, 1, 1], [0, 31, 32, 33, 0], [0, 0, 51, 52, 0]]


def pack(stored, folder, *, context, chunks=1 << 18):
    """Documents packed window by window."""
    stream, starts = stored
    copies = Copies(starts)
    bounds = cut_windows(copies, context, chunks=chunks)
    paths = []
    for first, last in pairwise(bounds):
        pieces = pack_window(copies.lengths(first, last), context)
        pieces.document[:] += first
        paths.append(folder / f"{first}.npy")
        save_window(paths[-1], pieces)
    return BestFit(stream, starts, paths, BlockFormat(context, BEGIN, PADDING))


def test_a_document_is_cut_only_where_it_is_longer_than_a_block(store, tmp_path):
    layout = pack(store(BY_HAND), tmp_path, context=4)
    assert layout.blocks(0, layout.num_blocks).tolist() == PACKED
    assert layout.blocks(3, 5).tolist() == PACKED[3:]
    figures = layout.figures
    assert (figures.num_copies, figures.num_cropped, figures.num_pieces, figures.num_padding) == (5, 1, 6, 3)


def test_only_the_end_of_a_document_is_a_target_and_padding_is_none(store, tmp_path):
    layout = pack(store(BY_HAND), tmp_path, context=4)
    blocks = layout.blocks(0, layout.num_blocks).astype(np.int64)
    batch = make_batch(blocks, begin=BEGIN, padding=PADDING, device=torch.device("cpu"))
    assert batch.targets[0].tolist() == [11, 12, 13, 14]  # goes on in the next block: no end
    assert batch.targets[1].tolist() == [15, 16, BEGIN, IGNORED]
    assert int((batch.targets == BEGIN).sum()) == len(BY_HAND)
    assert num_targets(blocks, PADDING) == sum(len(doc) for doc in BY_HAND) + len(BY_HAND)


def test_a_document_in_a_packed_block_has_the_losses_it_has_alone(store, tmp_path):
    docs = [[2, 3, 4, 5, 6, 7, 8, 9, 10], [11, 12], [13, 14], [3, 5, 7], [15]]
    layout = pack(store(docs), tmp_path, context=8)
    blocks = layout.blocks(0, layout.num_blocks).astype(np.int64)
    pieces = layout.pieces(0, layout.num_blocks)
    assert len(pieces.block) > layout.num_blocks
    shape = ModelParams(layers=2, width=32, heads=2)
    model = build_model(shape, vocab_size=16, context=8, begin=BEGIN, end=BEGIN, padding=PADDING, seed=3)
    cpu = torch.device("cpu")
    with torch.no_grad():
        for parameter in model.parameters():  # zero output projections would hide attention across documents
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
        packed = token_losses(model, make_batch(blocks, begin=BEGIN, padding=PADDING, device=cpu))
        for block, at, length in zip(pieces.block, pieces.at, pieces.length, strict=True):
            end = min(at + length, 8)
            alone = make_batch(blocks[block : block + 1, at - 1 : end + 1], begin=BEGIN, padding=PADDING, device=cpu)
            torch.testing.assert_close(packed[block, at - 1 : end], token_losses(model, alone)[0], rtol=1e-5, atol=1e-5)


@given(documents, st.integers(2, 9), st.integers(1, 3), st.integers(1, 9))
def test_the_blocks_give_back_every_document(store, tmp_path_factory, docs, context, parts, chunks):
    layout = pack(store(docs, parts), tmp_path_factory.mktemp("windows"), context=context, chunks=chunks)
    blocks = layout.blocks(0, layout.num_blocks)
    pieces = layout.pieces(0, layout.num_blocks)
    unpacked = [[] for _ in docs]
    rows = list(zip(*vars(pieces).values(), strict=True))
    for block, document, at, start, length in sorted(rows, key=lambda row: row[3]):
        assert len(unpacked[document]) == start
        assert blocks[block, at - 1] == BEGIN
        unpacked[document] += blocks[block, at : at + length].tolist()
    assert unpacked == docs
    assert (blocks == PADDING).sum() == layout.figures.num_padding
    assert (blocks > PADDING).sum() == sum(len(doc) for doc in docs)
    assert layout.figures.num_cropped == sum(len(doc) > context for doc in docs)
    for block in blocks.tolist():
        assert PADDING not in block or set(block[block.index(PADDING) :]) == {PADDING}


@given(st.lists(st.integers(0, 60), min_size=1, max_size=60), st.integers(2, 40))
def test_there_are_as_many_blocks_as_best_fit_decreasing_makes(lengths, context):
    sizes = [context] * sum(length // context for length in lengths)
    sizes += [r + 1 for length in lengths if (r := length % context) or not length]
    rooms: list[int] = []
    for size in sorted(sizes, reverse=True):
        fitting = [room for room in rooms if room >= size]
        room = min(fitting) if fitting else context
        if fitting:
            rooms.remove(room)
        rooms.append(room - size)
    assert pack_window(np.array(lengths), context).block[-1] + 1 == len(rooms)


def test_a_window_ends_after_so_many_chunks_and_at_every_break():
    copies = Copies(np.cumsum([0, 11, 2, 2, 26, 2, 2]))  # 1, 1, 1, 3, 1, 1 chunks of at most 10 tokens
    assert cut_windows(copies, 10, chunks=4) == [0, 3, 5, 6]
    assert cut_windows(copies, 10, breaks=[1, 6]) == [0, 1, 6]
    assert cut_windows(Copies(np.zeros(1, np.int64)), 10) == [0]
