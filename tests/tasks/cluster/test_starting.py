"""Addresses of clusters."""

import socket

import pytest

from params.errors import EngineError, ParameterError
from params.run import RunParams
from tasks.cluster.starting import check_engine


@pytest.mark.parametrize(("engine", "scheme"), [("ray", "ray"), ("dask", "tcp")])
def test_an_address_where_no_cluster_answers_is_refused_with_the_remedy(engine: str, scheme: str):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        address = f"{scheme}://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(EngineError, match=rf"no {engine} cluster answers at run.engine_address {address}.*null"):
            check_engine(RunParams(engine=engine, engine_address=address))


def test_an_address_without_a_port_is_refused_with_an_example():
    with pytest.raises(ParameterError, match=r"'scheduler' names no host and port; write it as tcp://scheduler:8786"):
        check_engine(RunParams(engine="dask", engine_address="scheduler"))


def test_an_address_needs_an_engine():
    with pytest.raises(ValueError, match=r"needs an engine; set engine to ray or dask"):
        RunParams(engine_address="tcp://scheduler:8786")
