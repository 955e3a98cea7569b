"""What the modules of values share."""

from __future__ import annotations

import sys
from typing import Dict, Union

#: An id or a name: text, or any bytes.
Text = Union[str, bytes]

_SLOTS: Dict[str, bool] = {"slots": True} if sys.version_info >= (3, 10) else {}
