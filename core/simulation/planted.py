"""Secrets that simulated lives are given in order to be found again (floor 2d; INV-12).

They are of nobody. Nothing a life writes may hold a part of one: `leaks` finds it.
"""

from collections.abc import Iterable

API_KEY = "cnryKq7vRt2LmXz9BnHs4WcDyPf8GjQa3EuT5iOo1LlKkJjHhGgFfDdSsAaZz01"
API_SECRET = "cnrsWm4eRb8NvCx2ZaQs6DfGh1JkLp0OiUy7TrEw3QmNbVcXyLkJhGfDsApOiU9"  # noqa: S105 - of nobody
HMAC_KEY = "cnrh-audit-hmac-7f3b9d1c5e2a8046-audit-hmac"
STRETCH = 12
"""Characters in a row that count as a leak."""


def needles(secrets: Iterable[str]) -> tuple[bytes, ...]:
    """Stretches of the secrets, each overlapping the next by half."""
    return tuple(
        {
            secret[at : at + STRETCH].encode(): None
            for secret in secrets
            for at in range(0, len(secret) - STRETCH + 1, STRETCH // 2)
        }
    )


def leaks(raw: bytes, searched: Iterable[bytes]) -> list[bytes]:
    """Those of `searched` that `raw` holds."""
    return [needle for needle in searched if needle in raw]
