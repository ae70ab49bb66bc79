"""Alias of `quick_check` (floor 8).

Exit codes: 0 all well (warnings allowed), 1 something is wrong, 2 wrong usage or configuration, 3
the account or key cannot trade, 5 the exchange cannot be read.
"""

import sys
from pathlib import Path

# Run as a file (python tools/doctor.py) the folder above is not on the path.
if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tools.quick_check import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
