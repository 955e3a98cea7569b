"""What a user of the wheel does first; run with the directory that it must be installed under."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path

import slotwise
from slotwise import _library

where = Path(slotwise.__file__).resolve()
assert str(where).startswith(str(Path(sys.argv[1]).resolve())), where
assert Path(_library.free._name).parent == where.parent, _library.free._name
assert where.with_name("py.typed").exists()
assert slotwise.library_version() == slotwise.__version__ == metadata.version("slotwise")

with slotwise.Engine() as engine:
    engine.add_workers([slotwise.WorkerSpec(f"node-{k}", 16_000, 65_536) for k in range(20)])
    with engine.reserve("job-1", cpu=500, memory=1_024) as held:
        assert held.worker_id in engine
    job = engine.prepare("job-2", cpu=500)
    job.reserve()
    job.release()
    many = engine.reserve_many([f"job-{k}" for k in range(100)], cpu=500)
    assert many.placed == 100 and engine.release_many(many).released == 100
    try:
        engine.reserve("huge", cpu=16_001)
    except slotwise.Never as refused:
        assert refused.reasons == slotwise.Reasons(cpu=20)
    assert engine.audit() and engine.counts() == slotwise.Counts(20, 0)
print(slotwise.__version__, "works")
