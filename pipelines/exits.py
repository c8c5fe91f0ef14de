"""The one table of exit codes (sysexits.h where it has one), from the class of the error."""

from __future__ import annotations

from forecasting.errors import (
    BundleError,
    DataError,
    GatecastError,
    LeaseError,
    LogUnavailable,
    NoSuchModel,
    NoSuchSource,
    ProjectError,
    RegistryError,
    SettingsError,
)

DONE, USAGE, BAD_DATA, NO_FILE, NO_REGISTRY, OUR_FAULT, INPUT_OUTPUT, HELD, INTERRUPTED = (
    0,
    2,
    65,
    66,
    69,
    70,
    74,
    75,
    130,
)

CODES: dict[type[BaseException], int] = {
    ProjectError: USAGE,
    SettingsError: USAGE,
    NoSuchModel: USAGE,
    NoSuchSource: NO_FILE,
    DataError: BAD_DATA,
    BundleError: BAD_DATA,
    RegistryError: NO_REGISTRY,
    LogUnavailable: NO_REGISTRY,
    LeaseError: HELD,
    GatecastError: OUR_FAULT,
    FileNotFoundError: NO_FILE,
    OSError: INPUT_OUTPUT,
    KeyboardInterrupt: INTERRUPTED,
}


def exit_code(error: BaseException) -> int:
    """Return the code of the nearest base class that has one; what has none is our fault."""
    return next((CODES[kind] for kind in type(error).__mro__ if kind in CODES), OUR_FAULT)
