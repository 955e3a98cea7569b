"""The router, short."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import router as example

from slotwise import Policy


def run(policy: Policy, drain: bool = False, requests: int = 600) -> example.Router:
    router = example.Router(example.cluster(9), policy)
    asyncio.run(example.drive(router, requests, 800, drain, seed=3))
    audit = router.engine.audit()
    assert audit.ok and audit.reservations == 0
    return router


def served(router: example.Router) -> int:
    return sum(sum(worker.served.values()) for worker in router.workers.values())


def test_every_request_is_served_once() -> None:
    router = run(Policy.AFFINITY)
    assert served(router) + router.dropped == 600 and router.dropped == 0
    for worker in router.workers.values():
        for model in example.MODELS:
            assert worker.served[model.name] == 0 or worker.gpu in model.gpus


def test_models_stay_where_they_are_loaded() -> None:
    loads = {
        policy: sum(w.loads for w in run(policy).workers.values())
        for policy in (Policy.AFFINITY, Policy.SPREAD)
    }
    assert loads[Policy.AFFINITY] < loads[Policy.SPREAD]


def test_a_worker_is_taken_out_under_load() -> None:
    router = run(Policy.AFFINITY, drain=True)
    assert served(router) == 600 and router.engine.counts().workers == 8


def test_the_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "router.svg"
    assert example.main(["--requests", "300", "--plot", str(path)]) == 0
    said = capsys.readouterr().out
    assert "nothing oversold: True; still held: 0" in said
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        return
    assert "<svg" in path.read_text() and example.main(["--requests", "50", "--plot", f"{path}.png"]) == 0
    with pytest.raises(SystemExit):
        example.main(["--workers", "0"])
