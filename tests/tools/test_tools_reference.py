"""Every tool stands in the reference with its exit codes, in its own words."""

from tool_kit import ROOT

from tools.tools_reference import DOCUMENT, main, read_tools, reference


def test_reference_is_in_step() -> None:
    assert main(["--check"]) == 0, "run python -m tools.tools_reference --write"
    assert (ROOT / DOCUMENT).read_text("utf-8") == reference()


def test_exit_codes_of_operators_tools_are_told() -> None:
    told = {tool.name: [code for code, _ in tool.exits] for tool in read_tools(ROOT)}
    for name in ("panic", "quick_check", "doctor", "close_position", "why", "verify_audit"):
        assert told[name][:2] == ["0", "1"], name
    assert told["force_trade"] == ["0", "1", "2", "3", "4", "5"]
