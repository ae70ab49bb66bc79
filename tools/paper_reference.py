"""Tables of the paper exchange's reference, made from the exchange itself (floor 8).

`python -m tools.paper_reference --write` renews them between their marks in
`docs/reference/paper_exchange.md`; `--check` exits 1 when the document is out of step.
"""

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import get_args, get_type_hints

import msgspec

# Run as a file (python tools/paper_reference.py) the folder above is not on the path.
if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from core.paper.fault_names import NAMED
from core.paper.faults import EventFault, FillFault, RestFault, TriggerFault
from core.paper.limits import Security
from core.paper.params import Params
from core.paper.routes import ROUTES
from core.paper.routes_admin import ActionRequest, ManualRequest
from core.paper.routing import RestRoute
from core.paper.streams import Topic
from core.paper.ws_api import METHODS

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = Path("docs/reference/paper_exchange.md")
_MARKS = re.compile(r"(<!-- made: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_KEYS = {Security.NONE: "", Security.KEY: "key", Security.SIGNED: "signed"}
_FAULTS = (RestFault, EventFault, TriggerFault, FillFault)
_SHOWN = ("route", "phase", "delay_ms", "times", "event", "symbol")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _weight(route: RestRoute) -> str:
    """Weight with a symbol, and without when that differs."""
    with_symbol = route.weight(Params({"symbol": "BTCUSDC"}))
    without = route.weight(Params({}))
    return str(with_symbol) if with_symbol == without else f"{with_symbol} / {without} all"


def routes() -> str:
    rows = [
        (
            f"`{route.method} {route.path}`",
            _KEYS[route.security],
            _weight(route),
            "" if route.orders == (0, 0) else f"{route.orders[0]} / {route.orders[1]}",
        )
        for route in sorted(ROUTES, key=lambda route: (route.path, route.method))
    ]
    return _table(("route", "access", "weight", "orders 10 s / 1 min"), rows)


def methods() -> str:
    rows = [(f"`{name}`", f"`{method} {path}`") for name, (method, path) in METHODS.items()]
    return _table(("method", "same as"), rows)


def streams() -> str:
    rows = [(f"`{topic.value}`", f"`/{topic.route.value}`") for topic in Topic]
    return _table(("stream", "route"), rows)


def faults() -> str:
    rows = []
    for kind in _FAULTS:
        fields = []
        for field in msgspec.structs.fields(kind):
            given = field.default is not msgspec.NODEFAULT
            fields.append(f"`{field.name}`" + (f" = {field.default!r}" if given else ""))
        text = " ".join((kind.__doc__ or "").split())
        rows.append((f"`{kind.__name__}`", ", ".join(fields), text))
    return _table(("rule", "fields", "meaning"), rows)


def names() -> str:
    """Ready rules, without the texts and codes that their meaning tells."""
    rows = []
    for name, each in NAMED.items():
        shown = (
            f"`{field}` = {value!r}" for field, value in each.fields.items() if field in _SHOWN
        )
        rows.append((f"`{name}`", f"`{each.rule.__name__}`", ", ".join(shown), each.meaning))
    return _table(("name", "rule", "fields", "meaning"), rows)


def actions() -> str:
    names = get_args(get_type_hints(ActionRequest)["action"])
    by_hand = get_args(get_type_hints(ManualRequest)["op"])
    text = " ".join((ActionRequest.__doc__ or "").split())
    return (
        f"`action` is one of {', '.join(f'`{name}`' for name in names)}. {text}\n\n"
        f"`op` is one of {', '.join(f'`{name}`' for name in by_hand)}.\n"
    )


PARTS: dict[str, Callable[[], str]] = {
    "routes": routes,
    "methods": methods,
    "streams": streams,
    "faults": faults,
    "names": names,
    "actions": actions,
}


def renewed(text: str) -> str:
    """The document with every made part made anew. Raises KeyError for an unknown mark."""
    return _MARKS.sub(lambda found: found[1] + PARTS[found[2]]() + found[3], text)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="paper_reference", description=__doc__.splitlines()[0])
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument("--write", action="store_true", help="renew the document")
    group.add_argument("--check", action="store_true", help="exit 1 when it is out of step")
    args = parser.parse_args(argv)
    path = ROOT / REFERENCE
    text = path.read_text(encoding="utf-8")
    wanted = renewed(text)
    if args.write:
        path.write_text(wanted, encoding="utf-8")
    elif text != wanted:
        print(f"{REFERENCE} is out of step: python -m tools.paper_reference --write")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
