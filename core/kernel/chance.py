"""The only source of randomness (floor 1): one root seed, one stream per concern.

Separate streams mean that one more draw in one concern does not shift the others.
"""

import hashlib
import random
import secrets


class Chance:
    """Seeded generators by name."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def stream(self, name: str) -> random.Random:
        """A generator that depends on the root seed and the name only."""
        digest = hashlib.sha256(f"{self.seed}|{name}".encode()).digest()
        return random.Random(int.from_bytes(digest[:8], "big"))


def system_seed() -> int:
    """A seed nobody can guess, for jitter in live operation."""
    return secrets.randbits(63)
