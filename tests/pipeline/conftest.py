"""A house with its steps in memory, and what was logged."""

from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from tests.support.pipeline import House


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs() as captured:
        yield captured
