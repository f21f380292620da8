"""PostgreSQL in the place of sqlite, by one setting: GRISTMILL_DATABASE_URL=postgresql://user:password@host/name.

Prefect and MLflow each keep a database of their own on that server, NAME_prefect and NAME_mlflow: both number their
migrations in a table of the same name. The URL holds a password, so it stands in the environment and nowhere else.
"""

import os
from collections.abc import Mapping
from urllib.parse import SplitResult, urlsplit

from params.errors import ParameterError, ServerError

VARIABLE = "GRISTMILL_DATABASE_URL"
_OWNERS = ("prefect", "mlflow")


def database_settings(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What Prefect and MLflow are told where the variable is set, else nothing."""
    url = _parsed(environ)
    if url is None:
        return {}
    return {
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": _url_of(url, "prefect", "postgresql+asyncpg"),
        "MLFLOW_TRACKING_URI": _url_of(url, "mlflow", "postgresql+psycopg"),
    }


def make_databases(environ: Mapping[str, str] = os.environ) -> None:
    """Make the two databases where they are missing. Raises ServerError where PostgreSQL does not let us."""
    url = _parsed(environ)
    if url is None:
        return
    try:
        import psycopg
    except ModuleNotFoundError:
        raise ServerError(
            f"{VARIABLE} is set, but psycopg is not installed: pip install 'gristmill[postgres]'"
        ) from None
    try:
        with psycopg.connect(url._replace(path="/postgres").geturl(), autocommit=True) as connection:
            there = {row[0] for row in connection.execute("SELECT datname FROM pg_database")}
            for name in (_name(url, owner) for owner in _OWNERS):
                if name not in there:
                    connection.execute(psycopg.sql.SQL("CREATE DATABASE {}").format(psycopg.sql.Identifier(name)))
    except psycopg.Error as error:
        where = f"{url.hostname}:{url.port or 5432}"
        reason = str(error).strip().splitlines()[-1]
        raise ServerError(f"{VARIABLE}: PostgreSQL at {where} does not serve ({reason}); check the URL") from None


def _parsed(environ: Mapping[str, str]) -> SplitResult | None:
    text = environ.get(VARIABLE, "")
    if not text:
        return None
    url = urlsplit(text)
    if url.scheme not in ("postgresql", "postgres") or not url.hostname or not url.path.strip("/"):
        raise ParameterError(f"{VARIABLE} must read postgresql://user:password@host:port/name (its value is not shown)")
    return url._replace(scheme="postgresql")


def _name(url: SplitResult, owner: str) -> str:
    return f"{url.path.strip('/')}_{owner}"


def _url_of(url: SplitResult, owner: str, scheme: str) -> str:
    return url._replace(scheme=scheme, path=f"/{_name(url, owner)}").geturl()
