"""Where a model comes from: every result it was made of, and the sources with their licences."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tasks.artifacts.digest import digest_entries
from tasks.artifacts.manifest import Manifest
from tasks.artifacts.store import Store


def ancestors(inputs: Sequence[Manifest], store: Store) -> list[Manifest]:
    """The inputs and all results they were made of, each once, parents before children."""
    found: dict[str, Manifest] = {}

    def visit(manifest: Manifest) -> None:
        if manifest.fingerprint not in found:
            for reference in manifest.inputs.values():
                if parent := store.find(reference.stage, reference.fingerprint):
                    visit(parent)
            found[manifest.fingerprint] = manifest

    for manifest in inputs:
        visit(manifest)
    return list(found.values())


def lineage(results: Sequence[Manifest], files: Manifest) -> dict[str, Any]:
    """lineage.json: sources with licences, then each result with recipe, digest and counts."""
    return {"sources": sources(files), "results": [_result(manifest) for manifest in results]}


def sources(files: Manifest) -> list[dict[str, Any]]:
    """Name, licence, digest of all files, their number and bytes of each source, in their order."""
    entries: dict[str, list[tuple[str, int, str]]] = {}
    for line in _json_lines(files.file("files.jsonl")):
        entries.setdefault(line["source"], []).append((line["path"], line["size_bytes"], line["sha256"]))
    return [
        {
            "name": line["name"],
            "license": line["license"],
            "digest": digest_entries(entries.get(line["name"], [])),
            "files": len(entries.get(line["name"], [])),
            "bytes": sum(size for _, size, _ in entries.get(line["name"], [])),
        }
        for line in _json_lines(files.file("sources.jsonl"))
    ]


def _result(manifest: Manifest) -> dict[str, Any]:
    return {
        "stage": manifest.stage,
        "version": manifest.version,
        "fingerprint": manifest.fingerprint,
        "digest": manifest.digest,
        "params": manifest.params,
        "inputs": {name: reference.digest for name, reference in manifest.inputs.items()},
        "counts": manifest.metrics.counts,
    }


def _json_lines(path: Path) -> Iterator[dict[str, Any]]:
    for line in path.read_text(encoding="utf-8").split("\n"):
        if line:
            yield json.loads(line)
