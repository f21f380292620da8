"""A server of a registered model: the alias moves, and the registry goes away."""

import json
import os

import pytest

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")

FOLLOW = """
import logging, sys
from pathlib import Path
from params.serve import ServeParams
from tasks.pull import RegistrySource
from tasks.serving.api_keys import read_keys
from tasks.serving.server import serve
logging.basicConfig(level=logging.WARNING)
source = RegistrySource("models:/followed@champion", Path(sys.argv[1]), None)
serve(source, ServeParams(port=0, reload_s=0.1, max_batch=1), read_keys(None), say=lambda line: print(line, flush=True))
"""
LONG = {"prompt": "The", "max_tokens": 60, "n": 16, "temperature": 2.0, "logit_bias": {"0": -100}, "stream": True}


def version_of(client):
    return client.get("/v1/models").json()["data"][0]["version"]


def test_a_moved_alias_changes_the_model_without_dropping_a_request_and_a_registry_that_is_down_hurts_nobody(
    candidate, tracked, tmp_path, start
):
    import mlflow  # the tests that need none do not wait for it

    candidate("followed", "first", 2.0)
    environment = os.environ | {"MLFLOW_TRACKING_URI": mlflow.get_tracking_uri(), "GRISTMILL_API_KEYS": ""}
    with start(FOLLOW, str(tmp_path / "cache"), env=environment) as server, server.client() as client:
        assert version_of(client) == "1"
        with client.stream("POST", "/v1/completions", json=LONG) as answer:
            lines = (line for line in answer.iter_lines() if line)
            next(lines)
            candidate("followed", "second", 1.5)
            with server.client() as other:
                while version_of(other) != "2":
                    assert other.post("/v1/completions", json={"prompt": "To", "max_tokens": 1}).status_code == 200
            rest = list(lines)
        assert rest[-1] == "data: [DONE]"
        ends = [json.loads(line[6:])["choices"][0]["finish_reason"] for line in rest[:-1]]
        assert ends.count("length") == 16
        assert server.metric("gristmill_reloads_total") == 1

    down = environment | {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    with start(FOLLOW, str(tmp_path / "cache"), env=down) as server, server.client() as client:
        assert version_of(client) == "2"
        while not server.metric("gristmill_reload_failures_total"):
            pass
        assert client.post("/v1/completions", json={"prompt": "To", "max_tokens": 1}).status_code == 200
