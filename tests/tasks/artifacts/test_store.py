"""The store: sealed results or drafts, never half a result."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from params.base import Params
from params.errors import StoreError
from tasks.artifacts.lock import lock_if_free
from tasks.artifacts.manifest import Manifest, Metrics, Recipe, Timing, recipe_of
from tasks.artifacts.store import Store, check_counts


class Knob(Params):
    """One parameter."""

    turns: int = 1


RECIPE = recipe_of("clean", 1, Knob(), {})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def seal(store: Store, recipe: Recipe = RECIPE, volatile: tuple[str, ...] = ("logs/*",), **files: str) -> Manifest:
    with store.lock(recipe):
        draft = store.draft(recipe, {"python": "3"})
        for name, text in (files or {"a.txt": "one", "logs/time.txt": "now"}).items():
            (draft / name).parent.mkdir(exist_ok=True)
            (draft / name).write_text(text)
        return store.seal(recipe, draft, Metrics(), timing=Timing(), made_by={}, volatile=volatile)


def test_what_was_sealed_is_found_with_the_hash_of_every_file(store: Store):
    sealed = seal(store)
    found = store.find("clean", RECIPE.fingerprint)
    assert found == sealed
    assert found.folder == store.root / "clean" / RECIPE.fingerprint
    assert {(f.path, f.size_bytes, f.sha256, f.volatile) for f in found.files} == {
        ("a.txt", 3, hashlib.sha256(b"one").hexdigest(), False),
        ("logs/time.txt", 3, hashlib.sha256(b"now").hexdigest(), True),
    }
    assert not list(store.root.glob("clean/*.partial"))


def test_what_was_never_made_is_not_found(store: Store):
    assert store.find("clean", RECIPE.fingerprint) is None
    assert list(store.results()) == []


def test_the_digest_leaves_volatile_files_out(tmp_path: Path):
    first = seal(Store(tmp_path / "1"), **{"a": "x", "logs/t": "1"})
    second = seal(Store(tmp_path / "2"), **{"a": "x", "logs/t": "2"})
    third = seal(Store(tmp_path / "3"), **{"a": "y", "logs/t": "1"})
    assert first.digest == second.digest != third.digest


def test_documents_may_not_get_lost():
    check_counts("clean", Metrics(counts={"docs_in": 5, "docs_kept": 3, "docs_rejected": 2}))
    with pytest.raises(AssertionError, match="clean: 5 documents came in, 4 went out"):
        check_counts("clean", Metrics(counts={"docs_in": 5, "docs_kept": 3, "docs_rejected": 1}))


@pytest.mark.parametrize(
    ("harm", "problem"),
    [
        (lambda path: path.write_text("two"), "its SHA-256 differs from the seal"),
        (lambda path: path.write_text("longer"), "has 6 bytes instead of 3"),
        (lambda path: path.unlink(), "is missing"),
    ],
)
def test_verify_finds_every_kind_of_damage(store: Store, harm, problem: str):
    sealed = seal(store)
    assert store.verify(sealed) == []
    harm(sealed.folder / "a.txt")
    assert [(damage.path.name, damage.problem) for damage in store.verify(sealed)] == [("a.txt", problem)]


def test_verify_finds_a_manifest_whose_file_list_was_changed(store: Store):
    sealed = seal(store)
    changed = sealed.model_copy(update={"files": sealed.files[1:]}).located(sealed.folder)
    assert [damage.path.name for damage in store.verify(changed)] == ["manifest.json"]


def test_a_result_is_complete_while_every_file_has_its_size(store: Store):
    sealed = seal(store)
    assert store.is_complete(sealed)
    (sealed.folder / "a.txt").write_text("")
    assert not store.is_complete(sealed)


def test_an_unreadable_manifest_is_named_with_the_remedy(store: Store):
    sealed = seal(store)
    (sealed.folder / "manifest.json").write_text('{"stage": "clean"')
    with pytest.raises(StoreError, match=r"manifest.json: not a manifest (?s:.*) remove .* to remake"):
        store.find("clean", RECIPE.fingerprint)


def test_an_interrupted_draft_is_given_again_to_the_same_code(store: Store):
    (store.draft(RECIPE, {"python": "3"}) / "half").write_text("x")
    assert (store.draft(RECIPE, {"python": "3"}) / "half").exists()


def test_a_draft_of_other_code_is_thrown_away(store: Store):
    (store.draft(RECIPE, {"python": "3"}) / "half").write_text("x")
    assert not (store.draft(RECIPE, {"python": "4"}) / "half").exists()


def test_drafts_and_leftovers_of_removals_are_no_results(store: Store):
    sealed = seal(store)
    other = recipe_of("clean", 1, Knob(turns=2), {})
    draft = store.draft(other, {})
    leftover = sealed.folder.with_name("f" * 32 + ".removed")
    leftover.mkdir()
    (leftover / "manifest.json").write_text(sealed.model_dump_json())
    assert [result.fingerprint for result in store.results()] == [RECIPE.fingerprint]
    assert store.drafts() == [draft]
    assert store.removed() == [leftover]


def test_a_draft_that_somebody_works_on_is_not_offered_for_removal(store: Store):
    with store.lock(RECIPE):
        draft = store.draft(RECIPE, {})
        assert store.drafts() == []
        assert store.remove_unused(draft) is None
    assert store.drafts() == [draft]


def test_removing_frees_the_bytes_and_leaves_no_trace_of_the_result(store: Store):
    sealed = seal(store, **{"a": "x" * 1000})
    freed = store.remove(sealed.folder)
    assert freed >= 1000
    assert store.find("clean", RECIPE.fingerprint) is None
    assert store.removed() == []


def test_a_held_result_is_not_removed_until_it_is_released(store: Store):
    sealed = seal(store)
    user = Store(store.root)
    assert user.hold(sealed)
    assert store.remove_unused(sealed.folder) is None
    user.release()
    assert store.remove_unused(sealed.folder)


def test_a_result_that_is_gone_cannot_be_held(store: Store):
    sealed = seal(store)
    store.remove(sealed.folder)
    assert not store.hold(sealed)
    with lock_if_free(sealed.folder.with_suffix(".lock")) as free:
        assert free


def test_a_removal_goes_on_where_an_earlier_one_was_cut_off(store: Store):
    sealed = seal(store)
    sealed.folder.replace(sealed.folder.with_suffix(".removed"))
    again = seal(store)
    store.remove(again.folder)
    assert not store.removed()


def test_discard_clears_the_place_of_a_damaged_result(store: Store):
    sealed = seal(store)
    (sealed.folder / "manifest.json").unlink()
    with store.lock(RECIPE):
        assert store.discard(RECIPE)
        assert not store.discard(RECIPE)
    assert seal(store).digest == sealed.digest


CRASHES = """
import os, signal, sys
from itertools import count
from pathlib import Path
from params.base import Params
from tasks.artifacts.manifest import Metrics, Timing, recipe_of
from tasks.artifacts.store import Store

class Knob(Params):
    pass

recipe = recipe_of("clean", 1, Knob(), {})

def make(store, remove):
    with store.lock(recipe):
        draft = store.draft(recipe, {})
        for name in ("a", "b"):
            (draft / name).write_text(name * 10)
        sealed = store.seal(recipe, draft, Metrics(), timing=Timing(), made_by={})
    if remove:
        store.remove(sealed.folder)

def die_at(number):
    left = [number]
    def hook(event, arguments):
        if event in ("open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "shutil.rmtree"):
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(hook)

def forked(work):
    child = os.fork()
    if child == 0:
        work()
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])

def interrupted(store, number, remove):
    die_at(number)
    make(store, remove)

reference = Store(Path(sys.argv[1]) / "reference")
forked(lambda: make(reference, False))
expected = next(reference.results()).digest
for remove in (False, True):
    for number in count(1):
        store = Store(Path(sys.argv[1]) / f"{remove}-{number}")
        killed = forked(lambda: interrupted(store, number, remove))
        for result in store.results():
            assert store.verify(result) == [], (number, store.verify(result))
        for path in [*store.drafts(), *store.removed()]:
            assert path.suffix in (".partial", ".removed"), path
        if not killed:
            break
        if store.find("clean", recipe.fingerprint) is None:
            forked(lambda: make(store, False))
        assert next(store.results()).digest == expected, number
    print(number)
"""


def test_killed_at_any_file_operation_the_store_holds_whole_results_or_drafts_and_can_go_on(tmp_path: Path):
    done = subprocess.run([sys.executable, "-c", CRASHES, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    sealed_after, removed_after = map(int, done.stdout.split())
    assert removed_after > sealed_after > 10


def test_a_folder_that_may_not_be_written_is_named_with_the_remedy(tmp_path: Path):
    (tmp_path / "forbidden").mkdir(mode=0o555)
    tmp_path.chmod(0o755)
    make = (
        "import os; from pathlib import Path; from params.base import Params\n"
        "from tasks.artifacts.manifest import recipe_of; from tasks.artifacts.store import Store\n"
        "os.getuid() or os.setuid(65534)  # root may write anywhere\n"
        "Store(Path('forbidden')).draft(recipe_of('clean', 1, Params(), {}), {})"
    )
    done = subprocess.run([sys.executable, "-c", make], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "StoreError: forbidden/clean: no permission to write; choose another folder with --home" in done.stderr
