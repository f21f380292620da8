"""generate and pull with the model of a finished run."""

from pathlib import Path

import mlflow
import pytest

from flows import cli
from flows.home import Home
from tasks.artifacts.record import RunRecord

# MLflow 3.17 uses a loader option that SQLAlchemy 2.1 announces to remove.
pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")


def test_a_prompt_is_continued_by_the_newest_champion(finished, shell):
    said = shell("generate", "The function", "--max-tokens", "5", "--seed", "1", "-n", "4")
    assert said.returncode == 0, said.stderr
    assert said.stdout.startswith("The function")
    assert len(said.stdout) > 4 * len("The function\n")  # one of them may end at once
    assert said.stderr == ""


def test_the_same_seed_gives_the_same_text_and_several_continuations_differ(finished, shell):
    arguments = ("generate", "春天", "-n", "2", "--max-tokens", "12", "--seed", "7", "--top-k", "0")
    first, second = shell(*arguments), shell.here(*arguments)
    assert first.returncode == 0, first.stderr
    assert first.stdout == second.stdout
    assert first.stdout.count("春天") >= 2


def test_a_pulled_folder_is_a_model_to_generate_with(finished, shell, tmp_path: Path):
    out = tmp_path / "model"
    pulled = shell("pull", "models:/gristmill-tiny@champion", "--out", str(out))
    assert pulled.returncode == 0, pulled.stderr
    assert pulled.stdout == f"{out}\n"
    for part in ("transformers", "onnx/int8/model.onnx", "onnx/fp32/model.onnx"):
        assert (out / part).exists()
    said = shell.here("generate", "The", "--model", str(out), "--variant", "fp32", "--greedy", "--max-tokens", "3")
    assert said.returncode == 0, said.stderr


def test_one_variant_can_be_pulled_alone(finished, shell, tmp_path: Path):
    pulled = shell.here("pull", "gristmill-tiny", "--variant", "int8", "--out", str(tmp_path / "model"))
    assert pulled.returncode == 0, pulled.stderr
    assert [path.name for path in (tmp_path / "model" / "onnx").iterdir()] == ["int8"]


@pytest.fixture
def no_tracking() -> None:
    """MLflow goes by its environment: an address that was once given to it in this process counts for more."""
    mlflow.set_tracking_uri(None)


def test_an_unknown_model_is_named_with_what_there_is(finished, shell):
    said = shell.here("pull", "models:/nobody@champion")
    assert said.returncode == 1
    assert "no model named nobody; the registry has gristmill-tiny" in said.stderr
    assert "Traceback" not in said.stderr


@pytest.mark.parametrize(
    "command", ["generate The", "pull m@champion", "evaluate m@champion", "registry m", "promote m", "rollback m"]
)
def test_a_registry_that_does_not_answer_is_named(command: str, tmp_path: Path, no_tracking, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    released = RunRecord(run_id="r", preset="tiny", started_at="", status="completed", model_version="models:/m/1")
    released.save(Home(tmp_path).store)
    assert cli.main([*command.split(), "--home", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert "127.0.0.1" in said
    assert "failed in the middle" in said or "does not answer" in said
    assert "secret" not in said


@pytest.mark.parametrize(
    ("command", "said"), [("run tiny", "move it away"), ("pull m@champion", "failed in the middle")]
)
def test_a_damaged_database_of_mlflow_is_named(
    command: str, said: str, tmp_path: Path, no_tracking, monkeypatch, capsys
):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")  # it does not come to that
    (tmp_path / "mlflow.db").write_text("this is no database " * 100)
    assert cli.main([*command.split(), "--home", str(tmp_path)]) == 1
    told = capsys.readouterr().err
    assert f"MLflow at sqlite:///{tmp_path / 'mlflow.db'} " in told
    assert "file is not a database" in told
    assert said in told


def test_a_setting_that_cannot_be_is_a_usage_error(finished, shell):
    said = shell.here("generate", "The", "--temperature", "0")
    assert said.returncode == 2
    assert said.stderr == "gristmill: error: temperature is 0.0; it must be above 0 (use greedy for no randomness)\n"


def test_without_any_released_model_the_remedy_is_named(lone_shell):
    said = lone_shell.here("generate", "The")
    assert said.returncode == 1
    assert "no model was released in" in said.stderr
    assert "run gristmill run" in said.stderr
