"""The tables as they were at first."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_BIG = sa.BigInteger()
_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make them."""
    _versions()
    _streams()
    _rows()
    _corrections()
    _states()


def _versions() -> None:
    op.create_table(
        "gatecast_versions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="gatecast_versions_pk"),
        sa.UniqueConstraint("model", "version", "run_id", name="gatecast_versions_unique"),
    )


def _streams() -> None:
    op.create_table(
        "gatecast_streams",
        sa.Column("id", _ID, autoincrement=False, nullable=False),
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("name", _NAME, nullable=False),
        sa.Column("series", sa.Text()),
        sa.Column("static", sa.Text(), nullable=False),
        sa.Column("contract", sa.Text(), nullable=False),
        sa.Column("created", _BIG, nullable=False),
        sa.Column("seq", _BIG, nullable=False),
        sa.Column("time", _BIG, nullable=False),
        sa.Column("epoch", _BIG, nullable=False),
        sa.Column("tracker", sa.LargeBinary(), nullable=False),
        sa.Column("shape", sa.Text(), nullable=False),
        sa.Column("drift", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="gatecast_streams_pk"),
        sa.UniqueConstraint("principal", "model", "name", name="gatecast_streams_unique"),
        postgresql_with={"fillfactor": 50},
    )
    drifting = sa.text("drift != 0")
    op.create_index(
        "gatecast_streams_drifting",
        "gatecast_streams",
        ["model", "drift"],
        sqlite_where=drifting,
        postgresql_where=drifting,
    )


def _as_it_came() -> list[sa.Column[object]]:
    return [
        sa.Column("stream", _BIG, autoincrement=False, nullable=False),
        sa.Column("seq", _BIG, autoincrement=False, nullable=False),
        sa.Column("time", _BIG, nullable=False),
        sa.Column("observed", sa.LargeBinary(), nullable=False),
        sa.Column("arrived", _BIG, nullable=False),
        sa.Column("kind", sa.Integer(), nullable=False),
        sa.Column("ahead", sa.LargeBinary()),
        sa.Column("score", sa.LargeBinary()),
        sa.Column("revision", sa.Integer(), autoincrement=False, nullable=False),
    ]


def _rows() -> None:
    op.create_table(
        "gatecast_rows",
        *_as_it_came(),
        sa.Column("version", sa.Integer()),
        sa.Column("forecast", sa.LargeBinary()),
        sa.Column("said", sa.LargeBinary()),
        sa.Column("notes", sa.Text()),
        sa.Column("revised", sa.Integer()),
        sa.PrimaryKeyConstraint("stream", "seq", name="gatecast_rows_pk"),
    )


def _corrections() -> None:
    op.create_table(
        "gatecast_corrections",
        *_as_it_came(),
        sa.PrimaryKeyConstraint("stream", "seq", "revision", name="gatecast_corrections_pk"),
    )


def _states() -> None:
    op.create_table(
        "gatecast_snapshots",
        sa.Column("stream", _BIG, autoincrement=False, nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("seq", _BIG, autoincrement=False, nullable=False),
        sa.Column("state", sa.LargeBinary(), nullable=False),
        sa.Column("tracker", sa.LargeBinary(), nullable=False),
        sa.Column("shape", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("stream", "version", "seq", name="gatecast_snapshots_pk"),
    )
    op.create_table(
        "gatecast_origins",
        sa.Column("stream", _BIG, autoincrement=False, nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("seq", _BIG, nullable=False),
        sa.PrimaryKeyConstraint("stream", "version", name="gatecast_origins_pk"),
    )
