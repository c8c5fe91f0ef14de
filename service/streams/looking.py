"""A stream as its owner sees it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
from jaxtyping import Float
from msgspec import UNSET, UnsetType

from forecasting.log.records import Stream
from forecasting.memory.explaining import Explanation
from forecasting.statics import StaticValue
from forecasting.streams.keeper import Keeper, Look
from forecasting.streams.recalling import newest_window
from service.answers import rfc3339, shortest
from service.explaining import explained_one
from service.models import ServedModel
from service.streams.schemas import Drift, StreamDescription, StreamSummary

_NAMES: tuple[Drift, ...] = ("none", "inputs", "errors", "both")
_STATIC = msgspec.json.Decoder(dict[str, StaticValue])


def summary(stream: Stream) -> StreamSummary:
    """Return what a list says of a stream."""
    return StreamSummary(
        stream=stream.key.stream,
        series=stream.series,
        sequence=stream.seq,
        timestamp=_newest(stream),
        created=rfc3339(stream.created // 1_000_000_000 * 1_000_000_000),
        drift=_NAMES[stream.drift],
    )


def described(model: ServedModel, look: Look, memory: Explanation | UnsetType = UNSET) -> StreamDescription:
    """Return all that is said of a stream."""
    stream, score = look.stream, look.score
    brief = summary(stream)
    return StreamDescription(
        model=model.identity,
        stream=brief.stream,
        series=brief.series,
        static=_STATIC.decode(stream.static),
        sequence=brief.sequence,
        timestamp=brief.timestamp,
        created=brief.created,
        origin=look.origin,
        corrections=stream.epoch,
        scored=score.count,
        skill=None if score.skill is None else shortest(np.float32(score.skill)),
        skills=_by_column(model.bundle.spec.targets, score.skills),
        coverage=_by_level(score.coverage),
        coverage_ever=_by_level(score.coverage_ever),
        drift=brief.drift,
        memory=memory,
    )


def explained(model: ServedModel, keeper: Keeper, stream: Stream) -> Explanation:
    """Explain the forecast at the newest row of a stream, by the rows that the model settles within.

    Raises:
        NoSuchObservation: the stream has no row yet.
        LogUnavailable: the log does not answer.
    """
    return explained_one(model, newest_window(model.streamed, keeper.log, stream))


def _newest(stream: Stream) -> str | None:
    return None if stream.seq < 0 else rfc3339(stream.time)


def _by_column(targets: Sequence[str], values: Float[np.ndarray, " target"]) -> dict[str, float | None]:
    return dict(zip(targets, shortest(values), strict=True))


def _by_level(shares: Mapping[int, float] | None) -> dict[str, float | None] | None:
    return None if shares is None else {str(level): shortest(np.float32(share)) for level, share in shares.items()}
