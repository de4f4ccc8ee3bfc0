"""A new file is what all the migrations make of an empty one; so is a file of an older version."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from tause_mcp.migrations import BETWEEN, NEWEST, make, migrated, upgrade
from tause_mcp.settings import Settings

pytestmark = pytest.mark.anyio
OLDER = "0006"


def changed(path: Path, change: Callable[[sa.Connection], object]) -> Path:
    engine = sa.create_engine(f"sqlite:///{path}", poolclass=sa.NullPool)
    with engine.begin() as connection:
        change(connection)
    return path


def older(connection: sa.Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(NEWEST.parent))
    config.attributes["connection"] = connection
    command.upgrade(config, OLDER)


def dumped(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return sorted(connection.iterdump())


def written(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        statements = list(connection.iterdump())[1:-1]  # without BEGIN and COMMIT
    return BETWEEN.join(line.replace(" \n", "\n") for line in statements) + "\n"


def test_a_new_file_is_what_the_migrations_make(tmp_path: Path) -> None:
    walked = changed(tmp_path / "walked.db", upgrade)
    if os.environ.get("UPDATE_SURFACE"):
        NEWEST.write_text(written(walked))
    made = changed(tmp_path / "made.db", make)
    assert [told.replace(" \n", "\n") for told in dumped(walked)] == dumped(made)


async def test_an_older_file_is_migrated_to_the_same(tmp_path: Path) -> None:
    path = changed(tmp_path / "older.db", older)
    made = dumped(changed(tmp_path / "made.db", make))
    assert dumped(path) != made
    await migrated(Settings.read({"TAUSE_DATABASE_URL": f"sqlite:///{path}"}))
    assert [told.replace(" \n", "\n") for told in dumped(path)] == made
