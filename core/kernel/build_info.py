"""Which build is running (floor 1): version, commit and interpreter for the build card."""

import platform
import re
from pathlib import Path

VERSION = "0.1.0"
_ROOT = Path(__file__).resolve().parents[2]
_HASH = re.compile(r"^[0-9a-f]{40}$")


def commit(root: Path = _ROOT) -> str:
    """First twelve digits of the checked-out commit, read from git's own files.

    "unknown" outside a checkout, for example in a container image.
    """
    try:
        head = (root / ".git" / "HEAD").read_text().strip()
        if not head.startswith("ref: "):
            return head[:12] if _HASH.match(head) else "unknown"
        name = head[5:]
        loose = root / ".git" / name
        if loose.is_file():
            return loose.read_text().strip()[:12]
        for line in (root / ".git" / "packed-refs").read_text().splitlines():
            digest, _, ref = line.partition(" ")
            if ref == name:
                return digest[:12]
    except OSError:
        return "unknown"
    return "unknown"


def python_version() -> str:
    return f"{platform.python_implementation()} {platform.python_version()}"
