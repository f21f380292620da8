"""A cancel in Prefect (its button, `prefect flow-run cancel`): heeded by every run, and told as somebody's wish.

A worker ends the runs that it started. For others, such as that of `gristmill run`, Prefect only notes the wish.
"""

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

log = logging.getLogger(__name__)
_LOOK_S = 3.0


class CancelledInPrefect(KeyboardInterrupt):
    """Somebody cancelled a run in Prefect that no worker looks after."""

    def __init__(self, flow_run_id: UUID) -> None:
        super().__init__(f"flow run {flow_run_id} was cancelled")
        self.flow_run_id = flow_run_id


@contextmanager
def cancel_heeded(flow_run_id: str | None) -> Iterator[None]:
    """Let a cancel in Prefect interrupt the block, where no worker does. Raises CancelledInPrefect."""
    from prefect.exceptions import TerminationSignal
    from prefect.runtime import deployment

    if flow_run_id is None or deployment.id or not callable(signal.getsignal(signal.SIGTERM)):
        yield
        return
    watch = _Watch(UUID(flow_run_id))
    watch.start()
    try:
        yield
    except TerminationSignal:
        if watch.has_interrupted:
            raise CancelledInPrefect(watch.flow_run_id) from None
        raise
    finally:
        watch.ended.set()


def asked_by(error: BaseException | None, flow_run_id: str | None) -> str | None:
    """Who asked for the end that this error is, as far as Prefect knows; None for any other end."""
    from prefect.client.orchestration import get_client
    from prefect.exceptions import TerminationSignal

    is_asked = isinstance(error, CancelledInPrefect)
    if isinstance(error, TerminationSignal) and flow_run_id is not None:
        with get_client(sync_client=True) as client:
            is_asked = _is_cancelled(client, UUID(flow_run_id))
    return f"cancelled in Prefect, flow run {flow_run_id}" if is_asked else None


def settle(cancel: CancelledInPrefect) -> None:
    """Tell Prefect that the run it wished to end has ended; its engine calls any end by a signal a crash."""
    from httpx import HTTPError
    from prefect.client.orchestration import get_client
    from prefect.states import Cancelled

    with get_client(sync_client=True) as client:
        try:
            client.set_flow_run_state(cancel.flow_run_id, Cancelled(message="Flow run was cancelled."), force=True)
        except HTTPError as error:
            log.warning("Prefect does not know yet that the run has ended: it does not answer (%s)", error)


class _Watch(threading.Thread):
    """Asks Prefect every few seconds whether somebody wants the run to end, and then interrupts the main thread."""

    def __init__(self, flow_run_id: UUID) -> None:
        super().__init__(name="prefect-cancel", daemon=True)
        self.flow_run_id = flow_run_id
        self.ended = threading.Event()
        self.has_interrupted = False

    def run(self) -> None:
        """Look until the run has ended, or is to end."""
        from prefect.client.orchestration import get_client

        main = threading.main_thread().ident
        assert main is not None, "a thread that has started has a number"
        with get_client(sync_client=True) as client:
            while not self.ended.wait(_LOOK_S):
                if _is_cancelled(client, self.flow_run_id) and not self.ended.is_set():
                    log.info("the run was cancelled in Prefect: it saves what it has, and ends")
                    self.has_interrupted = True
                    signal.pthread_kill(main, signal.SIGTERM)
                    return


def _is_cancelled(client: "SyncPrefectClient", flow_run_id: UUID) -> bool:
    """Whether Prefect has noted a cancel; no where it does not answer, or has forgotten the run."""
    from httpx import HTTPError
    from prefect.exceptions import ObjectNotFound

    try:
        state = client.read_flow_run(flow_run_id).state
    except (HTTPError, ObjectNotFound):
        return False
    return state is not None and (state.is_cancelling() or state.is_cancelled())
