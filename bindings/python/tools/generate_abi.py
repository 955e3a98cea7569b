"""Makes src/slotwise/_abi.py from include/slotwise.h: structures, constants, functions.

    python tools/generate_abi.py            writes it anew
    python tools/generate_abi.py --check    exit status 1 where it is not what the header says

The header is written by a program itself, so a small reader of its regular form is enough; whatever
it does not understand is an error, never left out in silence.
"""

from __future__ import annotations

import argparse
import keyword
import re
import sys
from pathlib import Path
from typing import Dict, List, Tuple

PACKAGE = Path(__file__).resolve().parent.parent
TARGET = PACKAGE / "src" / "slotwise" / "_abi.py"
HEADERS = (PACKAGE.parent.parent / "include" / "slotwise.h", PACKAGE / "rust" / "include" / "slotwise.h")

SCALARS = {
    "uint8_t": "c_uint8",
    "uint16_t": "c_uint16",
    "uint32_t": "c_uint32",
    "uint64_t": "c_uint64",
    "int32_t": "c_int32",
    "int64_t": "c_int64",
    "size_t": "c_size_t",
    "char": "c_char",
}

START = '''"""The C interface as ctypes sees it. Made by tools/generate_abi.py; do not edit."""

from __future__ import annotations

from ctypes import (
    CDLL,
    POINTER,
    Structure,
    c_char,
    c_char_p,
    c_int32,
    c_int64,
    c_size_t,
    c_uint8,
    c_uint16,
    c_uint32,
    c_uint64,
    c_void_p,
)
from typing import Any, Dict, Tuple

'''

END = '''

def bind(library: CDLL) -> None:
    """Tells ctypes of every function what it takes and what it returns."""
    for name, (result, arguments) in FUNCTIONS.items():
        function = getattr(library, name)
        function.restype = result
        function.argtypes = list(arguments)
'''


# Numbers that the header takes from the language.
NUMBERS = {"UINT64_MAX": str(2**64 - 1)}


class Header:
    """What stands in the header, in its order."""

    def __init__(self, text: str) -> None:
        text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
        text = re.sub(r"//[^\n]*", "", text)
        self.constants: List[Tuple[str, str]] = []
        self.scalars: Dict[str, str] = dict(SCALARS)
        self.structures: Dict[str, List[Tuple[str, str]]] = {}
        self.functions: Dict[str, Tuple[str, List[str]]] = {}
        self._read(text)

    def _read(self, text: str) -> None:
        rest = text
        for line in re.findall(r"^#.*$", text, flags=re.M):
            words = line.split(None, 2)
            if words[0] == "#define" and len(words) == 3 and "(" not in words[1]:
                self.constants.append((words[1], NUMBERS.get(words[2].strip(), words[2].strip())))
            elif words[0] not in ("#define", "#ifndef", "#ifdef", "#endif", "#include"):
                raise SystemExit(f"not understood: {line}")
        rest = re.sub(r"^#.*$", "", rest, flags=re.M)
        rest = rest.replace('extern "C" {', "").strip()
        rest = re.sub(r"\}\s*$", "", rest) if rest.endswith("}") else rest
        position = 0
        item = re.compile(
            r"\s*(?:typedef struct (?P<struct>\w+) \{(?P<body>[^}]*)\} (?P=struct);"
            r"|typedef (?P<scalar>\w+) (?P<alias>\w+);"
            r"|(?P<result>(?:const )?\w+ ?\*?)\s*(?P<name>slotwise_\w+)\((?P<args>[^)]*)\);)"
        )
        while rest[position:].strip():
            match = item.match(rest, position)
            if match is None:
                raise SystemExit(f"not understood: {rest[position:].strip()[:200]}")
            position = match.end()
            if match["struct"]:
                self.structures[match["struct"]] = [
                    self._field(line) for line in match["body"].split(";") if line.strip()
                ]
            elif match["alias"]:
                self.scalars[match["alias"]] = self.scalars[match["scalar"]]
            else:
                arguments = [a.strip() for a in match["args"].split(",")]
                self.functions[match["name"]] = (
                    self._type(match["result"].strip(), "result"),
                    [] if arguments == ["void"] else [self._argument(a) for a in arguments],
                )

    def _field(self, line: str) -> Tuple[str, str]:
        match = re.fullmatch(r"\s*(.*?)(\w+)(?:\[(\d+)\])?\s*", " ".join(line.split()))
        if match is None:
            raise SystemExit(f"not understood: {line}")
        kind = self._type(match[1].strip(), "field")
        return match[2], f"{kind} * {match[3]}" if match[3] else kind

    def _argument(self, text: str) -> str:
        match = re.fullmatch(r"(.*?)(\w+)", " ".join(text.split()))
        if match is None:
            raise SystemExit(f"not understood: {text}")
        return self._type(match[1].strip(), "argument")

    def _type(self, text: str, place: str) -> str:
        words = [w for w in text.replace("*", " * ").split() if w not in ("const", "struct")]
        base, stars = words[0], words[1:]
        if stars not in ([], ["*"]):
            raise SystemExit(f"not understood: {text}")
        if base in self.structures:
            short = base[len("slotwise_") :]
            return f"POINTER({short})" if stars else short
        scalar = self.scalars[base]
        if not stars:
            return scalar
        # Texts by their bytes; other columns by their address, which is what buffers have.
        return "c_char_p" if scalar == "c_char" else "c_void_p"

    def python(self) -> str:
        out = [START]
        for name, value in self.constants:
            out.append(f"{name[len('SLOTWISE_') :]} = {value}\n")
        for name, fields in self.structures.items():
            out.append(f"\n\nclass {name[len('slotwise_') :]}(Structure):\n")
            for field, kind in fields:
                # A name that Python keeps for itself can only be read with getattr.
                if not keyword.iskeyword(field):
                    out.append(f"    {field}: {self._python_type(kind)}\n")
            out.append("    _fields_ = [\n")
            out.extend(f'        ("{field}", {kind}),\n' for field, kind in fields)
            out.append("    ]\n")
        out.append("\n\nSTRUCTURES: Tuple[Any, ...] = (\n")
        out.extend(f"    {name[len('slotwise_') :]},\n" for name in self.structures)
        out.append(")\n\nFUNCTIONS: Dict[str, Tuple[Any, Tuple[Any, ...]]] = {\n")
        for name, (result, arguments) in self.functions.items():
            listed = ", ".join(arguments) + ("," if len(arguments) == 1 else "")
            line = f'    "{name}": ({result}, ({listed})),\n'
            if len(line) > 111:
                inner = "".join(f"            {a},\n" for a in arguments)
                line = f'    "{name}": (\n        {result},\n        (\n{inner}        ),\n    ),\n'
            out.append(line)
        out.append("}\n")
        out.append(END)
        return "".join(out)

    @staticmethod
    def _python_type(kind: str) -> str:
        if kind.startswith("POINTER(") or "*" in kind or kind in ("c_char_p", "c_void_p"):
            return "Any"
        return "int" if kind.startswith("c_") else kind


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="only compare")
    header = next(path for path in HEADERS if path.exists())
    wanted = Header(header.read_text(encoding="utf-8")).python()
    if parser.parse_args().check:
        if TARGET.read_text(encoding="utf-8") != wanted:
            print(f"{TARGET} is not what {header} says: run tools/generate_abi.py", file=sys.stderr)
            return 1
        return 0
    TARGET.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
