"""The home folder of a user's work, and the environment that Prefect, MLflow and the compilers find there."""

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from flows.database import database_settings
from params.errors import ParameterError, StoreError
from tasks.artifacts.digest import digest_file, digest_value
from tasks.artifacts.memory import limit_arenas
from tasks.artifacts.space import full_disk

DEFAULT_HOME = ".gristmill"
_URI_DELIMITERS = "?#"
_FULL_BYTES = 1_000_000


@dataclass(frozen=True)
class Home:
    """Where everything of a user's work lies."""

    root: Path

    @property
    def store(self) -> Path:
        """Sealed results and run records."""
        return self.root / "store"

    @property
    def prefect(self) -> Path:
        """Prefect's database, and the address of the running server."""
        return self.root / "prefect"

    @property
    def mlflow_artifacts(self) -> Path:
        """Files that MLflow keeps: configurations, plots, released models."""
        return self.root / "mlflow-artifacts"

    @property
    def mlflow_uri(self) -> str:
        """MLflow's own database. SQLAlchemy takes the path as it is, so nothing is quoted."""
        return f"sqlite:///{self.root / 'mlflow.db'}"

    @property
    def reports(self) -> Path:
        """An HTML report of each run."""
        return self.root / "reports"

    @property
    def logs(self) -> Path:
        """Log files."""
        return self.root / "logs"

    @property
    def cache(self) -> Path:
        """Compiled kernels and the like: may be removed at any time."""
        return self.root / "cache"


def open_home(path: Path | None = None) -> Home:
    """The home at a path (else GRISTMILL_HOME, else ./.gristmill), made if missing, with the environment set for it.

    Call it before prefect, mlflow or numba is imported: they read the environment once.
    """
    home = locate_home(path)
    _make(home)
    for name, value in environment(home).items():
        os.environ.setdefault(name, value)
    os.environ["GRISTMILL_HOME"] = str(home.root)
    limit_arenas()
    return home


def locate_home(path: Path | None = None, environ: Mapping[str, str] = os.environ) -> Home:
    """The home that a path, GRISTMILL_HOME or the current folder stands for; nothing is made."""
    chosen = path or Path(environ.get("GRISTMILL_HOME") or DEFAULT_HOME)
    root = chosen.expanduser().absolute()
    if any(character in str(root) for character in _URI_DELIMITERS):
        raise ParameterError(f"home {root}: a database URI cannot hold ? or #; choose another folder with --home")
    return Home(root)


def environment(home: Home) -> dict[str, str]:
    """Settings for the libraries; one that the user has set already is left alone."""
    return {
        "PREFECT_HOME": str(home.prefect),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "true",
        "PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED": "false",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        # 30 s (2+4+8+16) of waiting for a server that is gone, as below for MLflow; Prefect's own is a minute, and
        # a run that fails for it waits twice: at the call, and when the flow's end is told.
        "PREFECT_CLIENT_MAX_RETRIES": "4",
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
        "MLFLOW_TRACKING_URI": home.mlflow_uri,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_CONFIGURE_LOGGING": "false",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        # 31 s of waiting for a server that is gone, longer than its restart takes; MLflow's own 4 minutes, for every
        # call, would hold up the end of a failed run.
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "5",
        "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
        "GIT_PYTHON_REFRESH": "quiet",
        "HF_HOME": str(home.cache / "huggingface"),
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        # Threads that spin while they wait take the core from the one they wait for, as soon as anything else runs
        # beside training (docs/benchmarks.md): let them spin for some microseconds, then sleep.
        "GOMP_SPINCOUNT": "2000",
        "TOKENIZERS_PARALLELISM": "true",
        # Arrow's own allocator keeps what it frees: 100 to 150 MB more at the peak of a data stage, and slower.
        "ARROW_DEFAULT_MEMORY_POOL": "system",
        "NUMBA_CACHE_DIR": str(home.cache / "numba" / kernel_digest()),
        "TORCHINDUCTOR_CACHE_DIR": str(home.cache / "inductor"),
        "MPLCONFIGDIR": str(home.cache / "matplotlib"),
        "MPLBACKEND": "agg",
        **database_settings(),
    }


@contextmanager
def full_disk_explained(home: Home) -> Iterator[None]:
    """Call a full disk by its name: databases, servers and trainers that fail on one each say something else."""
    try:
        yield
    finally:
        error = sys.exc_info()[1]
        if isinstance(error, Exception) and shutil.disk_usage(home.root).free < _FULL_BYTES:
            raise _told_by_a_stage(error) or full_disk(home.root) from error


def _told_by_a_stage(error: BaseException | None) -> StoreError | None:
    """What a stage has said of the disk, before Prefect failed on it as well and raised something else."""
    while error is not None and not isinstance(error, StoreError):
        error = error.__cause__ or error.__context__
    return StoreError(str(error)) if error is not None else None


def kernel_digest() -> str:
    """Digest of the kernels' sources: numba looks only at a kernel's own file, not at what it inlines."""
    tasks = Path(__file__).parents[1] / "tasks"
    sources = sorted([*(tasks / "text").glob("*.py"), *(tasks / "duplicates").glob("*.py")])
    return digest_value([digest_file(path) for path in sources])[:16]


def _make(home: Home) -> None:
    try:
        for folder in (home.root, home.store, home.prefect, home.logs, home.cache):
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"{error.filename}: cannot make this folder ({error.strerror}); "
            "choose another with --home or GRISTMILL_HOME, or change its owner"
        ) from None
    if not os.access(home.root, os.W_OK | os.X_OK):
        raise StoreError.no_permission(home.root)
