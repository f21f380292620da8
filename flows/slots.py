"""One training at a time, whoever started it: a slot of a global concurrency limit, where the server has that limit."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

log = logging.getLogger(__name__)

TRAINING_LIMIT = "gristmill-training"


@contextmanager
def training_slot() -> Iterator[None]:
    """Hold the slot during the block; wait for it while another run trains.

    It is leased: that of a run which was killed becomes free again after five minutes.
    """
    from prefect.client.orchestration import get_client
    from prefect.concurrency.sync import concurrency
    from prefect.exceptions import ObjectNotFound

    with get_client(sync_client=True) as client:
        try:
            limit = client.read_global_concurrency_limit_by_name(TRAINING_LIMIT)
        except ObjectNotFound:  # no stack has been up on this server
            yield
            return
    if limit.active_slots >= limit.limit:
        log.info("waits: another run trains (limit %s)", TRAINING_LIMIT)
    with concurrency(TRAINING_LIMIT, occupy=1):
        yield
