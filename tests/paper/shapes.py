"""Field names and JSON types of answers and events, as short tables.

A shape is a dictionary of name -> type word, nested where the JSON is; a list of one shape means an
array of such objects. `kinds` makes the same of a decoded answer, of the first row of an array.
"""

from typing import Any

TEXT, WHOLE, REAL, FLAG, NOTHING = "str", "int", "float", "bool", "NoneType"


def row(
    text: str = "", whole: str = "", flag: str = "", real: str = "", **nested: object
) -> dict[str, Any]:
    """A shape from the names of each type, separated by spaces."""
    typed = ((TEXT, text), (WHOLE, whole), (FLAG, flag), (REAL, real))
    return {name: kind for kind, names in typed for name in names.split()} | nested


def kinds(value: object) -> object:
    if isinstance(value, dict):
        return {name: kinds(item) for name, item in value.items()}
    if isinstance(value, list):
        return [kinds(item) for item in value[:1]]
    return type(value).__name__


def difference(told: object, wanted: object, at: str = "") -> list[str]:
    """What is missing, unexpected or of another type, one line each; empty when they agree."""
    if isinstance(told, list) and isinstance(wanted, list):
        if len(told) != len(wanted):
            return [f"{at}[]: {len(told)} rows, {len(wanted)} wanted"]
        return [
            text for a, b in zip(told, wanted, strict=True) for text in difference(a, b, f"{at}[]")
        ]
    if not (isinstance(told, dict) and isinstance(wanted, dict)):
        return [] if told == wanted else [f"{at}: {told}, {wanted} wanted"]
    found = [f"{at}.{name}: missing" for name in wanted if name not in told]
    found += [f"{at}.{name}: unexpected" for name in told if name not in wanted]
    for name in told.keys() & wanted.keys():
        found += difference(told[name], wanted[name], f"{at}.{name}")
    return sorted(found)
