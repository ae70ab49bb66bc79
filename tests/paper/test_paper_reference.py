"""The reference document follows the code; the client matrix tells what its clients told it."""

import sys
from pathlib import Path

import pytest

from core.paper.routes import ROUTES
from core.paper.ws_api import METHODS
from tools import client_matrix, paper_reference


def test_the_reference_is_in_step() -> None:
    assert paper_reference.main(["--check"]) == 0


def test_a_document_out_of_step_is_noticed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(paper_reference, "ROOT", tmp_path)
    page = tmp_path / paper_reference.REFERENCE
    page.parent.mkdir(parents=True)
    page.write_text("<!-- made: methods -->\nold\n<!-- end -->\n", encoding="utf-8")
    assert paper_reference.main(["--check"]) == 1
    assert "out of step" in capsys.readouterr().out
    assert paper_reference.main(["--write"]) == 0
    assert paper_reference.main(["--check"]) == 0
    assert "order.place" in page.read_text(encoding="utf-8")


def test_no_route_is_listed_twice_and_methods_have_one() -> None:
    keys = [route.key for route in ROUTES]
    assert len(keys) == len(set(keys))
    assert set(METHODS.values()) <= set(keys)


SCRIPT = """
import json, sys
at = json.loads(sys.argv[1])
def tell(check, ok, detail=""):
    print(json.dumps({"client": "fake", "check": check, "ok": ok, "detail": detail}))
tell("reached", at["rest"].startswith("http://127.0.0.1:"))
tell("wrong", False, "because")
"""


def test_a_client_runs_against_an_exchange_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(client_matrix, "CLIENTS", tmp_path)
    monkeypatch.setattr(client_matrix, "SCRIPTS", {"fake": "fake.py"})
    script = tmp_path / "fake.py"
    script.write_text(SCRIPT, encoding="utf-8")
    results = client_matrix.run_client(Path(sys.executable), "fake")
    assert [(row.check, row.ok) for row in results] == [("reached", True), ("wrong", False)]
    script.write_text(SCRIPT + "raise OSError('gave up')\n", encoding="utf-8")
    results = client_matrix.run_client(Path(sys.executable), "fake")
    assert results[-1].detail == "OSError: gave up"
    text = client_matrix.table(results)
    assert "| reached | ok |" in text
    assert "| **passed** | 1/3 |" in text
    assert text.endswith("fake, wrong: because\nfake, run: OSError: gave up")
