"""Pull from a real registry."""

import subprocess
import sys

import pytest
from mlflow import MlflowClient

from params.errors import ReleaseError
from tasks.pull import pull, resolve
from tasks.serving.generator import OnnxModel, served_folder

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")


@pytest.fixture(scope="module")
def registered(candidate):
    candidate("mill", "first", 1.5)
    return candidate("mill", "second", 1.6)


def test_a_pulled_model_generates_from_its_own_folder(registered, tmp_path):
    folder = pull("models:/mill@champion", tmp_path / "mill")
    command = [sys.executable, "generate.py", "The function", "--greedy"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=True)
    assert done.stdout == "The function returns a list of numbers.\n"
    assert done.stderr == ""
    assert (folder / "transformers" / "model.safetensors").exists()


def test_one_variant_brings_its_graph_and_what_running_it_takes(registered, tmp_path):
    folder = pull("mill@challenger", tmp_path / "mill", variant="int4")
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    served = {"model.onnx", "model.onnx.data", "generation.json", "tokenizer.json", "tokenizer_config.json"}
    assert there == {
        *(f"onnx/int4/{name}" for name in served),
        *("generate.py", "MODEL_CARD.md", "MODEL_CARD.zh-CN.md", "README.md", "bundle.json", "SHA256SUMS"),
    }
    model = OnnxModel(served_folder(folder))
    assert model.generate(["To install the"], greedy=True, max_new_tokens=4)[0][0].startswith(" package")
    command = ["sha256sum", "--strict", "--quiet", "-c", "SHA256SUMS"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("address", "version"),
    [("mill", "1"), ("models:/mill", "1"), ("mill@champion", "1"), ("models:/mill/2", "2"), ("mill@challenger", "2")],
)
def test_an_address_may_be_a_name_an_alias_or_a_version(registered, address, version):
    assert resolve(MlflowClient(), address) == ("mill", version)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("nobody@champion", "no model named nobody; the registry has .*mill"),
        ("mill@nothing", r"mill has no alias nothing; its aliases: @challenger \(version 2\), @champion \(version 1\)"),
        ("mill/9", "no such version; mill has 1, 2"),
        ("models:/a/b/c", "write it as models:/NAME@ALIAS"),
    ],
)
def test_an_address_of_nothing_says_what_there_is(registered, tmp_path, address, message):
    with pytest.raises(ReleaseError, match=message):
        pull(address, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_variant_says_which_there_are(registered, tmp_path):
    with pytest.raises(
        ReleaseError, match="no variant int2; it has bf16, fp16, fp32, int4, int4_gptq, int8, int8_dynamic"
    ):
        pull("mill", tmp_path / "out", variant="int2")


def test_a_second_pull_leaves_a_right_folder_alone_and_mends_a_damaged_one(registered, tmp_path):
    folder = pull("mill", tmp_path / "mill", variant="int8")
    before = (folder / "generate.py").stat().st_ino
    assert (pull("mill", folder, variant="int8") / "generate.py").stat().st_ino == before
    (folder / "onnx/int8/model.onnx.data").write_bytes(b"damaged")
    pull("mill", folder, variant="int8")
    OnnxModel(folder / "onnx" / "int8")


def test_pulling_a_newer_version_replaces_the_folder(registered, tmp_path):
    pull("mill/1", tmp_path / "mill", variant="int8")
    old = (tmp_path / "mill" / "bundle.json").read_text()
    pull("mill/2", tmp_path / "mill", variant="int8")
    assert (tmp_path / "mill" / "bundle.json").read_text() != old


def test_a_folder_of_something_else_is_not_touched(registered, tmp_path):
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "thesis.txt").write_text("years")
    with pytest.raises(ReleaseError, match="is no pulled model"):
        pull("mill", tmp_path / "work", variant="int8")
    assert (tmp_path / "work" / "thesis.txt").read_text() == "years"
    with pytest.raises(ReleaseError, match="is no pulled model"):
        pull("mill", tmp_path / "work" / "thesis.txt", variant="int8")
    with pytest.raises(ReleaseError, match=r"thesis.txt/x: cannot be written .*; name another folder with --out"):
        pull("mill", tmp_path / "work" / "thesis.txt" / "x", variant="int8")


def test_a_place_that_is_taken_is_refused_before_the_registry_is_asked(tmp_path):
    (tmp_path / "thesis.txt").write_text("years")
    with pytest.raises(ReleaseError, match="is no pulled model"):
        pull("models:/no such address", tmp_path / "thesis.txt")


def test_a_version_of_something_else_is_explained(tracked, tmp_path):
    tracked.tracker.client.create_registered_model("foreign")
    tracked.tracker.client.create_model_version("foreign", source=tmp_path.as_uri(), run_id=tracked.tracker.run_id)
    with pytest.raises(ReleaseError, match=r"models:/foreign/1: SHA256SUMS cannot be fetched .* by gristmill"):
        pull("foreign/1", tmp_path / "out")


def test_a_file_that_was_changed_in_the_registry_is_not_accepted(candidate, tracked, tmp_path):
    candidate("tampered", "one", 1.5)
    client = tracked.tracker.client
    model_id = client.get_model_version("tampered", "1").source.removeprefix("models:/")
    location = client.get_logged_model(model_id).artifact_location.removeprefix("file://")
    with open(f"{location}/data/bundle/generate.py", "a") as file:  # noqa: PTH123
        file.write("# changed")
    with pytest.raises(ReleaseError, match=r"1 of \d+ files are missing or differ from SHA256SUMS: generate.py"):
        pull("tampered", tmp_path / "out")
    assert not (tmp_path / "out").exists()
