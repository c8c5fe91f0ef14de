"""Everything that can go wrong for a stated reason, as one tree.

    GatecastError
    ├── ProjectError             gatecast.toml cannot be used as it stands
    ├── SettingsError            an environment variable holds a value that cannot be used
    ├── DataError                the rows cannot be used as they stand
    │   ├── NoSuchSource         the file named by the project is not there
    │   ├── UnreadableSource     it is there and is no table we can read
    │   ├── DataRejected         a finding of the data report refuses it (carries the report)
    │   └── WindowRejected       the rows of one request (carries a JSON pointer)
    ├── NotFinite                a forecaster answered with something that is not a number
    ├── TrainingError            training did not end in a usable forecaster
    │   └── Diverged             the loss stopped being a number
    ├── BundleError              a bundle on disk cannot be opened
    │   ├── CorruptBundle        its files are not the ones that were written
    │   │   └── AlteredBundle    one of them has another digest than its manifest says
    │   ├── IncompatibleBundle   written by a format this version does not read
    │   └── NotReproduced        it does not give the forecasts that were recorded with it
    ├── RegistryError            the model registry
    │   ├── RegistryUnavailable  it does not answer
    │   └── NoSuchModel          it answers, and has no such model, version or alias
    ├── StreamError              a stream cannot take what came
    │   ├── NoSuchStream         there is none of that name, or none of this principal
    │   ├── NoSuchObservation    it has no row of that time
    │   ├── Late                 a row is older than the newest one (carries the time of that)
    │   ├── Changed              a row of that time was accepted with other values
    │   ├── Begun                history comes after the first push
    │   ├── NotStreamable        the model may not be streamed
    │   └── TooManyStreams       the principal has as many as it may have
    ├── LogError                 the observation log
    │   ├── LogUnavailable       its database does not answer, or cannot be used
    │   └── Outrun               another writer was quicker with the same stream
    └── LeaseError               only one run of a project may be under way
        ├── LeaseHeld            another one is
        └── LeaseLost            this one was halted for so long that another may be

No HTTP status and no exit code lives here: `service/problems.py` and `pipelines/exits.py` hold those tables.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from forecasting.report import DataReport


class GatecastError(Exception):
    """Base of every error raised on purpose; its text says what came, what was expected, what to do next."""


class ProjectError(GatecastError):
    """The project file is missing, not TOML, or holds a key or value that is not understood."""


class SettingsError(GatecastError):
    """An environment variable holds a value that cannot be used."""


class DataError(GatecastError):
    """The data cannot be used as they stand."""


class NoSuchSource(DataError):
    """The source named by the project does not exist."""


class UnreadableSource(DataError):
    """The source exists but is not a table in a format we read."""


class DataRejected(DataError):
    """A finding of the data report refuses the data; `report` holds all findings."""

    def __init__(self, report: DataReport) -> None:
        """Say every refusal, one a line."""
        self.report = report
        super().__init__("\n".join(finding.sentence for finding in report.refusals))


class WindowRejected(DataError):
    """The rows of one forecast request cannot be used; `pointer` is the JSON pointer (RFC 6901) to the fault."""

    def __init__(self, detail: str, pointer: str = "") -> None:
        """Keep the pointer beside the sentence."""
        self.pointer = pointer
        super().__init__(detail)


class NotFinite(GatecastError):
    """A forecaster answered with something that is not a finite number; the answer is withheld."""


class TrainingError(GatecastError):
    """Training did not end in a usable forecaster."""


class Diverged(TrainingError):
    """The loss stopped being a finite number."""


class BundleError(GatecastError):
    """A bundle on disk cannot be opened."""


class CorruptBundle(BundleError):
    """A file of the bundle is missing, unexpected, not the one that was written, or does not fit the others."""


class AlteredBundle(CorruptBundle):
    """A file of the bundle is not the one that was written: its digest is another one."""


class IncompatibleBundle(BundleError):
    """The bundle was written in a format that this version does not read."""


class NotReproduced(BundleError):
    """On this device the bundle does not give the forecasts that were recorded when it was written."""


class RegistryError(GatecastError):
    """The model registry refused or failed."""


class RegistryUnavailable(RegistryError):
    """The model registry does not answer."""


class NoSuchModel(RegistryError):
    """The registry has no such model, version or alias."""


class StreamError(GatecastError):
    """A stream cannot take what came."""


class NoSuchStream(StreamError):
    """There is no stream of that name, or it belongs to somebody else."""


class NoSuchObservation(StreamError):
    """The stream has no row of that time."""


class Late(StreamError):
    """A row is older than the newest one accepted, whose time `last` is, in RFC 3339."""

    def __init__(self, detail: str, last: str) -> None:
        """Keep the time beside the sentence."""
        self.last = last
        super().__init__(detail)


class Changed(StreamError):
    """A row of that time was accepted with other values."""


class Begun(StreamError):
    """History is imported before the first push, not after it."""


class NotStreamable(StreamError):
    """The model may not be streamed; the text says why."""


class TooManyStreams(StreamError):
    """The principal has as many streams as it may have."""


class LogError(GatecastError):
    """The observation log refused or failed."""


class LogUnavailable(LogError):
    """The database of the log does not answer, or cannot be used; nothing was written."""


class Outrun(LogError):
    """Another writer was quicker with the same stream; nothing was written."""


class LeaseError(GatecastError):
    """Only one run of a project may be under way, on whatever machine."""


class LeaseHeld(LeaseError):
    """Another run of the project is under way."""


class LeaseLost(LeaseError):
    """The lease of this run has passed; another may be under way."""
