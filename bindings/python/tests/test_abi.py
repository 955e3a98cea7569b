"""The low-level layer is what the header says, and what a C compiler makes of it."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import PACKAGE, repository

import slotwise
from slotwise import _abi, _library

HEADER = repository("include/slotwise.h")


def test_the_generated_layer_is_current() -> None:
    script = PACKAGE / "tools" / "generate_abi.py"
    done = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_function_is_bound() -> None:
    declared = set(
        re.findall(r"\b(slotwise_\w+)\(", re.sub(r"/\*.*?\*/", "", HEADER.read_text(), flags=re.S))
    )
    assert declared == set(_abi.FUNCTIONS)
    for name, (result, arguments) in _abi.FUNCTIONS.items():
        for library in (_library.free, _library.held):
            function = getattr(library, name)
            assert function.restype is result
            assert tuple(function.argtypes) == arguments


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_structures_lie_as_in_c(tmp_path: Path) -> None:
    lines = []
    for structure in _abi.STRUCTURES:
        c = f"slotwise_{structure.__name__}"
        lines.append(f'printf("{structure.__name__} %zu\\n", sizeof({c}));')
        for field, *_ in structure._fields_:
            lines.append(
                f'printf("{structure.__name__}.{field} %zu %zu\\n", offsetof({c}, {field}),'
                f" sizeof((({c} *)0)->{field}));"
            )
    source = tmp_path / "layout.c"
    source.write_text(
        f'#include <stdio.h>\n#include "{HEADER}"\nint main(void) {{\n' + "\n".join(lines) + "\n}\n"
    )
    subprocess.run(["cc", str(source), "-o", str(tmp_path / "layout")], check=True)
    wanted = subprocess.run([str(tmp_path / "layout")], capture_output=True, text=True, check=True)
    got = []
    for structure in _abi.STRUCTURES:
        got.append(f"{structure.__name__} {ctypes.sizeof(structure)}")
        for field, *_ in structure._fields_:
            place = getattr(structure, field)
            got.append(f"{structure.__name__}.{field} {place.offset} {place.size}")
    assert got == wanted.stdout.splitlines()


def sized(kind: Any, by: int) -> Any:
    return kind(size=ctypes.sizeof(kind) + by)


def test_the_library_agrees_on_sizes(one: slotwise.Engine) -> None:
    """Each structure that tells its size is taken at that size, and refused at another."""
    lib, e = _library.free, one.handle
    ref, byref = one.find("w"), ctypes.byref
    selector, placed = ctypes.c_uint32(), _abi.placement_t()
    statuses = (ctypes.c_int32 * 1)()

    def request(by: int) -> Any:
        r = sized(_abi.request_t, by)
        r.cpu = 1
        return r

    def spec(by: int) -> Any:
        s = sized(_abi.worker_spec_t, by)
        s.id.data, s.id.length = b"x%d" % (by + 8), len(b"x%d" % (by + 8))
        s.total.cpu = 1
        return s

    def columns(by: int) -> Any:
        c = sized(_abi.columns_t, by)
        c.count, c.common = 1, ctypes.pointer(request(0))
        c.statuses = ctypes.addressof(statuses)
        return c

    def group(by: int) -> Any:
        g = sized(_abi.group_t, by)
        g.worker.data, g.worker.length = b"w", 1
        return g

    calls = [
        lambda by: lib.slotwise_last_error(byref(sized(_abi.error_t, by))),
        lambda by: lib.slotwise_engine_config(e, byref(sized(_abi.config_t, by))),
        lambda by: lib.slotwise_selector(e, byref(sized(_abi.constraints_t, by)), byref(selector)),
        lambda by: lib.slotwise_worker_add(e, byref(spec(by)), None),
        lambda by: lib.slotwise_worker_info(e, ref, byref(sized(_abi.worker_info_t, by))),
        lambda by: lib.slotwise_reserve(e, byref(request(by)), byref(placed)),
        lambda by: lib.slotwise_reserve_batch(e, byref(sized(_abi.batch_t, by)), None),
        lambda by: lib.slotwise_reserve_columns(e, byref(columns(by)), None),
        lambda by: lib.slotwise_groups_apply(e, byref(group(by)), 0, 1),
        lambda by: lib.slotwise_stats(e, byref(sized(_abi.stats_t, by))),
        lambda by: lib.slotwise_audit(e, byref(sized(_abi.audit_t, by)), None, 0),
        lambda by: lib.slotwise_explain(
            e, byref(request(0)), byref(sized(_abi.explanation_t, by)), None, 0, None
        ),
        lambda by: lib.slotwise_replicas(
            e, byref(request(0)), 1, byref(sized(_abi.supposition_t, by)), byref(selector)
        ),
    ]
    for number, call in enumerate(calls):
        for by in (-8, 8):
            assert call(by) == _abi.STRUCT_SIZE, (number, by)
        assert call(0) in (_abi.OK, _abi.NULL_POINTER), number


def test_constants_have_their_names_in_the_enumerations() -> None:
    names = set(re.findall(r"^#define SLOTWISE_(\w+) \d+$", HEADER.read_text(), flags=re.M))
    known = {s.name for s in slotwise.Status} | {f"POLICY_{p.name}" for p in slotwise.Policy}
    known |= {f"STATE_{s.name}" for s in slotwise.State}
    known |= {d.name.replace("NONE", "NO_DIMENSION") for d in slotwise.Dimension}
    assert known <= names
    others = (
        "MAX_",
        "SET_",
        "LIST_",
        "TEXT_",
        "STEP_",
        "VERSION_M",
        "VERSION_P",
        "ABI_",
        "NO_",
        "SELECTOR_ANY",
        "OUTLOOK_",
        "REASON_",
        "MISMATCH_",
        "SCOPE_",
        "ISLAND_",
    )
    rest = {n for n in names - known if not n.startswith(others)}
    # SET_ASIDE is a status, LIST_LENGTH too; flags and modes are arguments of their own here.
    assert rest == {
        "ACCEPT_PREEMPTABLE", "AHEAD", "ALL_OR_NOTHING", "HASH", "INDEPENDENT", "PENDING", "PREEMPTABLE",
        "REQUIRES_SELECTOR", "HOLD", "ACCOUNT", "LEAVING", "EXPIRED", "LOST_WITH_WORKER", "WORKER_EXPIRED",
    }  # fmt: skip


def test_versions() -> None:
    assert slotwise.library_version() == slotwise.__version__ == _abi.VERSION
    assert slotwise.Status.BUSY.text


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )


def test_a_library_that_is_none_is_an_import_error(tmp_path: Path) -> None:
    wrong = tmp_path / "libslotwise.so"
    wrong.write_text("no library")
    for path in (str(wrong), str(tmp_path / "missing.so")):
        done = run("import slotwise", SLOTWISE_LIBRARY=path)
        assert "ImportError: no slotwise library" in done.stderr
    found = ctypes.util.find_library("c") if hasattr(ctypes, "util") else None
    if found:
        assert "is no slotwise library" in run("import slotwise", SLOTWISE_LIBRARY=found).stderr


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_a_library_of_another_interface_is_refused(tmp_path: Path) -> None:
    source, built = tmp_path / "old.c", tmp_path / "old.so"
    source.write_text("unsigned slotwise_abi_version(void) { return 4711; }\n")
    subprocess.run(["cc", "-shared", "-fPIC", str(source), "-o", str(built)], check=True)
    done = run("import slotwise", SLOTWISE_LIBRARY=str(built))
    assert "version 4711 of the interface" in done.stderr
