from __future__ import annotations

from pathlib import Path
from typing import Iterator

import pytest

from slotwise import Engine

PACKAGE = Path(__file__).resolve().parent.parent


def repository(path: str) -> Path:
    """A file of the repository, or of its copy in the sdist."""
    inside = PACKAGE / "rust" / path
    return inside if inside.exists() else PACKAGE.parent.parent / path


@pytest.fixture
def engine() -> Iterator[Engine]:
    """An engine whose books add up at the end."""
    with Engine(max_workers=4096, max_reservations=65536) as made:
        yield made
        if not made.closed:
            assert made.audit(), made.audit()


@pytest.fixture
def one(engine: Engine) -> Engine:
    """An engine with one worker, w."""
    engine.add_worker("w", 1000, 1000)
    return engine
