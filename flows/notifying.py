"""gristmill notify: who is told when a run ends, and a test that the message arrives."""

import argparse
import platform

from flows.running import overrides_of
from params.errors import ParameterError
from params.load import load_params
from tasks.notices.message import Notice
from tasks.notices.sending import channels_of, send_notice


def notify(arguments: argparse.Namespace) -> int:
    """List the channels of a preset; with --test send a message over each and say what became of it."""
    params = load_params(arguments.preset, overrides_of(arguments))
    channels = channels_of(params.notify)
    if not channels:
        raise ParameterError(
            f"preset {arguments.preset} tells only console and log; name channels in its section notify, "
            "for example --set 'notify.webhooks=[{kind: slack}]'"
        )
    if not arguments.test:
        for channel in channels:
            print(f"{channel.name}: {'ready' if channel.missing is None else f'{channel.missing} is not set'}")
        return 0
    model = params.release.model_name
    notice = Notice("test", run_id="-", preset=arguments.preset, model=model, host=platform.node())
    deliveries = send_notice(notice, params.notify)
    for delivery in deliveries:
        print(f"{delivery.channel}: {delivery.problem or 'delivered'}")
    return int(any(delivery.problem for delivery in deliveries))
