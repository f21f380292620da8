"""TensorBoard: event files, written without torch or TensorFlow."""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.watching.callbacks import Callback, Point
from tasks.watching.samples import as_markdown

if TYPE_CHECKING:
    from tensorboard.compat.proto.summary_pb2 import Summary


class EventFiles(Callback):
    """Every number of every point as a scalar at its own time, and configuration, samples and report as text."""

    def __init__(self, folder: Path) -> None:
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        folder.mkdir(parents=True, exist_ok=True)
        self._writer = EventFileWriter(str(folder))

    def on_start(self, config: Mapping[str, Any]) -> None:
        self._write(0, None, [_text("config", f"```json\n{json.dumps(config, indent=1, ensure_ascii=False)}\n```")])

    def on_point(self, point: Point) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary

        values = [
            Summary.Value(tag=f"train/{name}", simple_value=float(value)) for name, value in numbers_of(point).items()
        ]
        self._write(int(point["step"]), point.get("time_ms"), values)
        self._writer.flush()

    def on_samples(self, samples: Sequence[Point]) -> None:
        self._write(int(samples[0]["step"]), None, [_text("train/samples", as_markdown(samples))])

    def on_end(self, verdict: str, report: Mapping[str, Any]) -> None:
        said = f"**{verdict}**\n\n```json\n{json.dumps(dict(report), indent=1, ensure_ascii=False)}\n```"
        self._write(int(report.get("steps", 0)), None, [_text("train/end", said)])
        self._writer.close()

    def _write(self, step: int, time_ms: float | None, values: "Sequence[Summary.Value]") -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        wall_time = time.time() if time_ms is None else time_ms / 1000
        self._writer.add_event(Event(wall_time=wall_time, step=step, summary=Summary(value=values)))


def numbers_of(point: Point) -> dict[str, float]:
    """What of a point can be drawn as a curve."""
    return {
        name: value
        for name, value in point.items()
        if name not in ("step", "time_ms") and isinstance(value, int | float) and not isinstance(value, bool)
    }


def _text(tag: str, text: str) -> "Summary.Value":
    """A value that TensorBoard's text plugin shows as Markdown."""
    from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto

    metadata = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="text"))
    shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=1)])
    tensor = TensorProto(dtype="DT_STRING", string_val=[text.encode()], tensor_shape=shape)
    return Summary.Value(tag=tag, metadata=metadata, tensor=tensor)
