"""The benchmark corpus: real English and Chinese text from Debian's and npm's documentation packages, as JSON lines.

    python tests/bench/corpus.py FOLDER [megabytes]

Needs `apt-get`, `dpkg-deb` and `npm`, no root. English: books and the manuals of languages, libraries and Linux.
Chinese: manual pages, the Debian reference and handbook, LibreOffice's help, and classical poems. What cannot be
fetched is named and left out; with nothing fetched, the documentation of the running interpreter's packages stands in.
"""

import gzip
import json
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from hashlib import sha256
from pathlib import Path

ENGLISH = (
    "anarchism",
    "erlang-doc",
    "ghc-doc",
    "libboost1.74-doc",
    "libreoffice-help-en-us",
    "linux-doc-6.12",
    "llvm-14-doc",
    "openjdk-17-doc",
    "postgresql-doc-15",
    "python3.11-doc",
    "qtbase5-doc-html",
    "rust-doc",
)
CHINESE = ("manpages-zh", "debian-reference-zh-cn", "debian-handbook", "libreoffice-help-zh-cn")
POEMS = "chinese-poetry"
CHINESE_SHARE = 0.2
MIN_CHARACTERS = 40
ENDINGS = (".html", ".htm", ".rst", ".txt", ".json", ".gz", ".md")
FILES_AT_ONCE = 256
_HAN = re.compile("[\u4e00-\u9fff]")
_ROFF = re.compile(r"^[.'].*$|\\f.|\\-|\\&|\\s[+-]?\d", re.MULTILINE)


def main() -> None:
    folder = Path(sys.argv[1])
    wanted = int(float(sys.argv[2]) * 1e6) if len(sys.argv) > 2 else 320_000_000
    print(*fetch(folder, wanted), sep="\n")


def fetch(folder: Path, size_bytes: int) -> list[Path]:
    """The corpus files english.jsonl and chinese.jsonl in `folder`, about `size_bytes` of text; made once."""
    made = [folder / f"english-{size_bytes}.jsonl", folder / f"chinese-{size_bytes}.jsonl"]
    if not all(path.exists() for path in made):
        folder.mkdir(parents=True, exist_ok=True)
        trees = {name: tree for name in (*ENGLISH, *CHINESE, POEMS) if (tree := _unpack(name, folder / "packages"))}
        chinese_bytes = int(size_bytes * CHINESE_SHARE)
        english = [tree for name, tree in trees.items() if name in ENGLISH] or [Path(sysconfig.get_path("purelib"))]
        _write(made[0], _documents(english, chinese=False), size_bytes - chinese_bytes)
        chinese = [tree for name, tree in trees.items() if name not in ENGLISH]
        _write(made[1], _documents(chinese, chinese=True), chinese_bytes)
    return made


def _unpack(name: str, folder: Path) -> Path | None:
    tree = folder / name
    if tree.exists():
        return tree
    scratch = folder / f"{name}.partial"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    command = ["npm", "pack", "--silent", name] if name == POEMS else ["apt-get", "download", "-q", name]
    try:
        subprocess.run(command, cwd=scratch, check=True, capture_output=True)
        for package in scratch.glob("*.deb"):
            subprocess.run(["dpkg-deb", "-x", package, scratch], check=True, capture_output=True)
        for package in scratch.glob("*.tgz"):
            with tarfile.open(package) as archive:
                archive.extractall(scratch, filter="data")
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"{name}: left out, cannot be fetched: {error}", file=sys.stderr)
        return None
    scratch.rename(tree)
    return tree


def _documents(trees: list[Path], *, chinese: bool) -> Iterator[str]:
    """Texts of the trees' files, those in the other script left out; always from the tree that has given least."""
    with ProcessPoolExecutor() as pool:
        streams = [(_texts(tree, pool), tree.name) for tree in trees]
        given = dict.fromkeys((name for _, name in streams), 0)
        while streams:
            stream = min(streams, key=lambda each: given[each[1]])
            text = next(stream[0], None)
            if text is None:
                streams.remove(stream)
            elif len(text) >= MIN_CHARACTERS and _is_chinese(text) == chinese:
                given[stream[1]] += len(text.encode())
                yield text


def _texts(tree: Path, pool: ProcessPoolExecutor) -> Iterator[str]:
    """Texts of a tree's files in the order of a hash of their paths, so that neighbours are no near copies."""
    paths = [path for path in tree.rglob("*") if path.suffix in ENDINGS and path.is_file() and not path.is_symlink()]
    paths.sort(key=lambda path: sha256(str(path.relative_to(tree)).encode()).digest())
    for start in range(0, len(paths), FILES_AT_ONCE):
        for texts in pool.map(_read, paths[start : start + FILES_AT_ONCE], chunksize=16):
            yield from texts


def _is_chinese(text: str) -> bool:
    return len(_HAN.findall(text)) >= 0.3 * len(re.findall(r"\w", text))


def _read(path: Path) -> list[str]:
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        text = data.decode()
    except (OSError, UnicodeDecodeError):
        return []
    if path.suffix in (".html", ".htm"):
        from resiliparse.extract.html2text import extract_plain_text

        return [extract_plain_text(text, main_content=True)]
    if path.suffix == ".json":
        return list(_poems(text))
    return [_ROFF.sub("", text) if re.search(r"/man\d/", str(path)) else text]


def _poems(text: str) -> Iterator[str]:
    try:
        poems = json.loads(text)
    except ValueError:
        return
    for poem in poems if isinstance(poems, list) else []:
        lines = poem.get("paragraphs") if isinstance(poem, dict) else None
        if isinstance(lines, list) and all(isinstance(line, str) for line in lines):
            yield "\n".join([str(poem.get("title") or poem.get("rhythmic") or ""), *lines]).strip()


def _write(path: Path, texts: Iterator[str], size_bytes: int) -> None:
    """Documents, one per line, until `size_bytes` of text are written or there is no more."""
    temporary, written = path.with_suffix(".tmp"), 0
    with temporary.open("w", encoding="utf-8") as file:
        for text in texts:
            file.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
            written += len(text.encode())
            if written >= size_bytes:
                break
    temporary.rename(path)
    if written < size_bytes:
        print(f"{path.name}: {written / 1e6:.0f} MB, all there is", file=sys.stderr)


if __name__ == "__main__":
    main()
