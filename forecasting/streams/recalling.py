"""The newest rows of a stream as a window, so that what is told of windows can be told of streams."""

from __future__ import annotations

import msgspec
import numpy as np

from forecasting.admission import Window
from forecasting.errors import NoSuchObservation
from forecasting.log.interface import Log
from forecasting.log.records import Stream
from forecasting.statics import StaticValue
from forecasting.steadiness import LONGEST
from forecasting.streams.rebuilding import arrays_of
from forecasting.streams.streamed import Streamed


def newest_window(model: Streamed, log: Log, stream: Stream) -> Window:
    """Return as many rows as the model settles within, and a window at least, in the units of the data.

    What lies further back changes its forecast by less than 1 %.

    Raises:
        NoSuchObservation: the stream has no row yet.
    """
    streaming = model.bundle.streaming
    rows = max(model.spec.lookback, (streaming and streaming.settling) or LONGEST)
    (found,) = log.rows([(stream.id, max(stream.seq + 1 - rows, 0), stream.seq)])
    if not found:
        message = f"the stream {stream.key.stream} has no row yet; push one"
        raise NoSuchObservation(message)
    values, times = arrays_of(model, [found])
    told, known = found[-1].ahead, len(model.spec.columns.known)
    ahead = np.frombuffer(told, np.float32).reshape(-1, known) if told and known else None
    static = msgspec.json.decode(stream.static, type=dict[str, StaticValue])
    return Window(values[0], times[0], stream.series, ahead, static)
