"""A venue that does not answer: `--once` gives up in time and in one line."""

from e2e_kit import Patient, assert_clean


def test_once_gives_up_after_thirty_seconds(unreachable: Patient) -> None:
    ended = unreachable.end(45)
    assert ended.code == 1
    assert_clean(ended)
    waiting = [line for line in ended.error_lines if "waiting for the exchange" in line]
    assert len(waiting) == 1, "one status line, not one per attempt"
    assert ended.error_lines[-1].startswith("the exchange: no success within 30 s: ")
    assert "CANARY" not in ended.err + ended.out
    assert not ended.out
