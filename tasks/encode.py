"""Read, check and encode the examples that a phase of training learns from."""

import json
import logging
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from params.encode import EncodeParams, ExamplesParams
from params.errors import SourceError
from tasks.artifacts.digest import digest_entries, write_atomic
from tasks.artifacts.intermediate import scratch_folder
from tasks.artifacts.manifest import Manifest, Metrics
from tasks.context import Run, root_of
from tasks.stage import stage

if TYPE_CHECKING:
    from tasks.examples.encoding import Coder, Example
    from tasks.examples.shards import Packed
    from tasks.files.hashing import HashedFile
    from tasks.files.places import RawFile, Root
    from tasks.formats.records import Unusable

log = logging.getLogger(__name__)
SIDES = ("train", "validation")
REPORT, LABELS = "report.json", "labels.json"
_ROWS = 256
_SHOWN = 3
_HASHES = 1 << 64


@dataclass(frozen=True)
class _File:
    """A file to read, and where what is in it goes."""

    place: "RawFile"
    name: str
    kept: Path
    rejected: Path

    @property
    def held_out(self) -> Path:
        """Its rows that are for validation, while the stage runs."""
        return self.kept.with_suffix(".jsonl")

    @property
    def rows(self) -> Path:
        """Hashes of its rows that can be used, while the stage runs."""
        return self.kept.with_suffix(".npy")


def identity(params: EncodeParams, run: Run, *_inputs: Manifest) -> EncodeParams:
    """What decides the result: files by their contents, never by where they lie."""
    sources = []
    for source in params.sources:
        found = _files_of(source, run)[1]
        digest = digest_entries((file.path, file.size_bytes, file.sha256) for file in found)
        sources.append(ExamplesParams(path=digest))
    return params.model_copy(update={"sources": tuple(sources)})


@stage(version=3, identity=identity)
def encode(params: EncodeParams, tokenizer: Manifest, *, out: Path, run: Run) -> Metrics:
    """Blocks of packed examples in train/ and validation/; rows that cannot be used in rejected/, with the reason.

    Leaves {side}/NNNNNN.arrow (columns input_ids, targets, segments), report.json, rows.npy (hashes of the rows that
    were used), labels.json of labelled texts, and held_out.jsonl: the rows of validation as they were read, for models
    with another tokenizer or template.
    Raises SourceError where a side has no example.
    """
    from tasks.examples.encoding import make_coder
    from tasks.examples.rows import ROWS, read_hashes, write_hashes

    objective, context = params.objective, params.context
    assert objective, "PipelineParams.encode_of fills it in"
    assert context, "PipelineParams.encode_of fills it in"
    coder = make_coder(objective, tokenizer.folder, context=context, truncate=params.too_long == "truncate")
    scratch = scratch_folder(out)
    files = list(_files(params, out, scratch, run))
    unit = partial(_encode_file, coder=coder, params=params)
    counts = sum(run.map(unit, files, name="encode examples"), Counter[str]())
    _check(params, counts)
    labels = _labels(files) if params.objective == "classify" else []
    packed = {side: _pack(side, files, labels, tokenizer, params, out, run) for side in SIDES}
    if labels:
        write_atomic(out / LABELS, json.dumps(labels, ensure_ascii=False, indent=1))
    _keep_held_out(files, out)
    write_hashes(out / ROWS, read_hashes(file.rows for file in files).tolist())
    shutil.rmtree(scratch)
    return _report(params, counts, packed, labels, out)


def side_of(key: str, params: EncodeParams) -> str:
    """The side of the split: a function of what is asked, the salt and the share."""
    import xxhash

    value = xxhash.xxh3_64_intdigest(f"{params.salt}\0{key}".encode())
    return "validation" if value < params.validation * _HASHES else "train"


def place_of(source: ExamplesParams) -> "Root":
    """Where examples lie; raises SourceError where nothing does."""
    root = root_of(source.path, source.storage_options)
    if isinstance(root, Path) and not root.exists():
        raise SourceError(f"encode.sources: {root} does not exist; set path to a file or a folder of examples")
    return root


def _files_of(source: ExamplesParams, run: Run) -> "tuple[Root, list[HashedFile]]":
    from tasks.files.hashing import hash_files
    from tasks.files.listing import list_files

    root = place_of(source)
    listing = list_files(root, source.include, ())
    if not listing.paths:
        raise SourceError(
            f"encode.sources: no file in {root} matches {', '.join(source.include)}; name the file itself, or set "
            "include"
        )
    return root, hash_files(root, listing, run.workers)


def _files(params: EncodeParams, out: Path, scratch: Path, run: Run) -> Iterator[_File]:
    from tasks.documents.shards import shard_name
    from tasks.files.places import locate

    number = 0
    for source in params.sources:
        root, found = _files_of(source, run)
        for file in found:
            name = shard_name(number)
            rejected = out / "rejected" / name.replace(".arrow", ".jsonl")
            yield _File(locate(root, file.path), file.path, scratch / name, rejected)
            number += 1


def _encode_file(file: _File, *, coder: "Coder", params: EncodeParams) -> Counter[str]:
    """Encode the rows of a file: what can be used into kept, the rest into rejected; how many of each."""
    import pyarrow as pa

    from tasks.artifacts.digest import commit
    from tasks.examples.encoding import Example
    from tasks.examples.held_out import held_out_line
    from tasks.examples.reading import shown
    from tasks.examples.rows import hash_row, write_hashes
    from tasks.examples.shards import ENCODED, encoded_batch

    counts: Counter[str] = Counter()
    hashes = set[int]()
    file.kept.parent.mkdir(parents=True, exist_ok=True)
    temporary, lines = file.kept.with_name(file.kept.name + ".tmp"), []
    with (
        file.held_out.open("w", encoding="utf-8") as held_out,
        pa.OSFile(str(temporary), "wb") as sink,
        pa.ipc.new_file(sink, ENCODED) as writer,
    ):
        for rows in _batches(file, int(params.max_example_mb * 1e6)):
            kept: list[tuple[str, Example]] = []
            for row, made in zip(rows, coder.encode([row.value for row in rows]), strict=True):
                if isinstance(made, Example):
                    side = side_of(made.key, params)
                    kept.append((side, made))
                    hashes.add(hash_row(row.value))
                    if side == "validation":
                        held_out.write(held_out_line(made.chat, made.row))
                else:
                    lines.append(_rejection(file, row.position, made, shown(row.value)))
                counts.update(_counted(made))
            writer.write_batch(encoded_batch(kept))
            counts.update(f"{side}_examples" for side, _ in kept)
    commit(temporary, file.kept)
    write_hashes(file.rows, hashes)
    if lines:
        file.rejected.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(file.rejected, "".join(lines))
    return counts


def _keep_held_out(files: list[_File], out: Path) -> None:
    from tasks.examples.held_out import HELD_OUT

    with (out / HELD_OUT).open("wb") as target:
        for file in files:
            with file.held_out.open("rb") as source:
                shutil.copyfileobj(source, target)


def _batches(file: _File, max_bytes: int) -> Iterator[list[Any]]:
    from itertools import islice

    from tasks.examples.reading import read_rows

    rows = read_rows(file.place, max_bytes=max_bytes)
    while batch := list(islice(rows, _ROWS)):
        yield batch


def _counted(made: "Example | Unusable") -> Iterator[str]:
    from tasks.examples.encoding import Example

    yield "examples_in"
    if isinstance(made, Example):
        yield "examples_kept"
        if made.truncated:
            yield "truncated"
    else:
        yield "examples_rejected"
        yield f"rejected.{made.rule}"


def _rejection(file: _File, position: int, problem: "Unusable", row: str) -> str:
    line = {"file": file.name, "line": position, "rule": problem.rule, "detail": problem.detail, "row": row}
    log.debug("%s:%d: %s", file.name, position, problem.detail)
    return json.dumps(line, ensure_ascii=False) + "\n"


def _check(params: EncodeParams, counts: Counter[str]) -> None:
    if all(counts[f"{side}_examples"] for side in SIDES):
        return
    reasons = ", ".join(f"{name.partition('.')[2]} {n}" for name, n in counts.most_common() if "rejected." in name)
    why = f"; set aside were {reasons}" if reasons else ""
    missing = next(side for side in SIDES if not counts[f"{side}_examples"])
    raise SourceError(
        f"encode: of {counts['examples_in']} rows {counts['examples_kept']} can be used, and none of them fell to "
        f"{missing}{why}; add examples, change encode.validation ({params.validation}) or set another encode.salt"
    )


def _labels(files: list[_File]) -> list[str]:
    """All labels in order: by number where all are whole numbers, else by spelling."""
    from tasks.documents.shards import read_batches

    found = {
        label for file in files for batch in read_batches(file.kept) for label in batch.column("label").to_pylist()
    }
    if len(found) < 2:
        raise SourceError(f"encode: all examples have the label {', '.join(found)}; classes are told apart, bring two")
    are_numbers = all(label.lstrip("-").isdigit() for label in found)
    return sorted(found, key=(lambda label: (int(label), label)) if are_numbers else None)


def _pack(
    side: str, files: list[_File], labels: list[str], tokenizer: Manifest, params: EncodeParams, out: Path, run: Run
) -> "Packed":
    from tasks.examples.shards import Packed, Shape, read_encoded
    from tasks.shards.packing import portions
    from tasks.tokenizer.files import special_ids

    ids = special_ids(tokenizer.folder)
    sides = 2 if params.objective in ("preference", "seq2seq") else 1
    shape = Shape(int(params.context or 0), ids.vocab_size, ids.padding, sides)
    packed = Packed(read_encoded([file.kept for file in files], side), shape, labels)
    unit = partial(_write_part, packed=packed, folder=out / side, size=params.blocks_per_shard)
    run.map(unit, list(portions(packed.num_blocks, params.blocks_per_shard)), name=f"write {side} blocks")
    return packed


def _write_part(bounds: tuple[int, int], *, packed: "Packed", folder: Path, size: int) -> None:
    from tasks.documents.shards import shard_name

    packed.write(folder / shard_name(bounds[0] // size), *bounds)


def _report(
    params: EncodeParams, counts: Counter[str], packed: "dict[str, Packed]", labels: list[str], out: Path
) -> Metrics:
    for side, found in packed.items():
        counts |= Counter({f"{side}_blocks": found.num_blocks, f"{side}_targets": found.num_targets})
    padding = round(packed["train"].padding_share, 6)
    report = {"objective": params.objective, "counts": dict(sorted(counts.items())), "padding_share": padding}
    write_atomic(out / REPORT, json.dumps(report | ({"labels": labels} if labels else {}), indent=1) + "\n")
    if counts["examples_rejected"]:
        told = [f"{name.partition('.')[2]} {n}" for name, n in counts.most_common() if name.startswith("rejected.")]
        log.warning(
            "encode: %d of %d rows are set aside (%s); rejected/ names file, line and reason",
            counts["examples_rejected"],
            counts["examples_in"],
            ", ".join(told[:_SHOWN]),
        )
    return Metrics(
        counts={"examples_rejected": 0, **dict(sorted(counts.items()))},
        values={"padding_share": padding},
        facts={"objective": str(params.objective), **({"labels": ", ".join(labels)} if labels else {})},
        headline=f"{counts['train_examples']:,} + {counts['validation_examples']:,} examples in "
        f"{counts['train_blocks']:,} blocks, {counts['train_targets']:,} targets",
        speed=(counts["examples_in"], "examples"),
    )
