"""The search for planted secrets can find one, wherever it may be."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from support.canaries import leaks_in, leaks_under

from core.simulation.planted import API_KEY, API_SECRET, HMAC_KEY
from core.simulation.telegram_server import TOKEN

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.shows_secrets
@pytest.mark.parametrize("secret", [API_KEY, API_SECRET, HMAC_KEY, TOKEN])
def test_a_part_of_a_secret_is_found_in_any_file(tmp_path: Path, secret: str) -> None:
    part = f"before {secret[5:25]} after"
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "a.bin").write_bytes(b"\x00" + part.encode() + b"\xff")
    with zipfile.ZipFile(tmp_path / "b.zip", "w", zipfile.ZIP_DEFLATED) as bundle:
        bundle.writestr("c.txt", part)
    (tmp_path / "bot.env").write_text(secret)
    (tmp_path / "clean.txt").write_text("nothing of interest")
    found = [name.removeprefix(f"{tmp_path}/") for name in leaks_under(tmp_path)]
    assert found == ["b.zip:c.txt", "deep/er/a.bin"]
    assert leaks_in(part)
    assert not leaks_in("order ucb-bot1-scv1-sl0-k3jq0p5m2x8d-0")


def _is_end(words: list[str]) -> bool:
    return len(words) == 2 and "::" in words[1]


LEAKY = """
from core.simulation.planted import API_KEY
def test_prints():
    print(API_KEY)
def test_is_silent(tmp_path):
    (tmp_path / "x").write_text("well")
def test_writes(tmp_path):
    (tmp_path / "x").write_text(API_KEY)
"""


@pytest.mark.shows_secrets
def test_a_leak_fails_the_test_that_made_it(tmp_path: Path) -> None:
    """Proved by a run of its own with the same conftest."""
    (tmp_path / "test_leaks.py").write_text(LEAKY)
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path / "conftest.py")
    command = ["-m", "pytest", "-rA", "-c", str(ROOT / "pytest.ini"), "--rootdir", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, *command, "--basetemp", str(tmp_path / "t"), str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    said = [line.split(" ")[:2] for line in done.stdout.splitlines()]
    ends = {(kind, name.split("::")[1]) for kind, name in filter(_is_end, said)}
    assert ends == {
        ("FAILED", "test_prints"),
        ("PASSED", "test_is_silent"),
        ("PASSED", "test_writes"),
        ("ERROR", "test_writes"),
    }
