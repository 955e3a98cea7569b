"""Builds the shared library with cargo and puts it into the wheel; the sdist gets the Rust sources."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any, Dict

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

#: What cargo needs of the repository.
SOURCES = (
    "Cargo.toml",
    "Cargo.lock",
    "build.rs",
    "src",
    "include",
    "benches",
    "README.md",
    "tests/cases.txt",
)


class CustomBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    def initialize(self, version: str, build_data: Dict[str, Any]) -> None:
        root = Path(self.root)
        carried = root / "rust"
        rust = carried if carried.exists() else root.parent.parent
        if self.target_name == "sdist":
            for name in SOURCES:
                build_data["force_include"][str(rust / name)] = f"rust/{name}"
            return
        if version == "editable":
            return
        target = (root if rust == carried else rust) / "target" / "capi"
        library = build(rust, target)
        build_data["force_include"][str(library)] = f"slotwise/{library.name}"
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform(library)}"


def build(rust: Path, target: Path) -> Path:
    """The shared library alone, so that link-time optimisation is not lost."""
    command = [os.environ.get("CARGO", "cargo"), "rustc", "--locked", "--release", "--lib"]
    command += ["--features", "capi", "--crate-type", "cdylib", "--target-dir", str(target)]
    name = {"darwin": "libslotwise.dylib", "win32": "slotwise.dll"}.get(sys.platform, "libslotwise.so")
    if sys.platform.startswith("linux"):
        # Threads keep what they need of the library, so it stays loaded once it was.
        command += ["--", "-C", "link-arg=-Wl,-soname,libslotwise.so.0.1"]
        command += ["-C", "link-arg=-Wl,-z,nodelete"]
    try:
        subprocess.run(command, cwd=rust, check=True)
    except FileNotFoundError:
        raise SystemExit("slotwise is built with cargo, which is not here: https://rustup.rs") from None
    return target / "release" / name


def platform(library: Path) -> str:
    """The platform's tag; on Linux with the oldest C library that has all that is asked of it."""
    plain = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    asked = re.findall(rb"GLIBC_2\.(\d+)", library.read_bytes())
    if plain.startswith("linux_") and asked:
        return f"manylinux_2_{max(17, *map(int, asked))}_{plain[len('linux_') :]}"
    return plain
