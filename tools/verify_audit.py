"""Check the audit log: `python -m tools.verify_audit [PATH…]` (floor 8; INV-11).

Exit codes: 0 the chain holds (count and head are printed), 1 it does not (the first bad record and
why), 2 wrong usage or nothing to read.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

# Run as a file (python tools/verify_audit.py) the folder above is not on the path.
if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from core.storage.audit_verify import KnownHead, Verdict, find_segments, verify

HOLDS, BROKEN, USAGE = 0, 1, 2


def _head(text: str) -> KnownHead:
    try:
        return KnownHead.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="verify_audit", description="Check the hash chain of the audit log over all segments."
    )
    parser.add_argument(
        "paths",
        nargs="*",
        type=Path,
        metavar="PATH",
        help="audit log or the folder it is in (its older segments belong to it), or single "
        "segments (default: logs/audit.jsonl)",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument(
        "--head",
        type=_head,
        metavar="HASH/SEQ",
        help="a head reported earlier (hash, number or both) that the log has to contain",
    )
    parser.add_argument(
        "--hmac-key-file", type=Path, metavar="FILE", help="file with AUDIT_HMAC_KEY"
    )
    return parser.parse_args(argv)


def _key(path: Path | None) -> bytes | None:
    if path is None:
        return None
    key = path.read_bytes().strip()
    if not key:
        raise OSError(f"{path}: is empty")
    return key


def _say(verdict: Verdict) -> None:
    bad = verdict.bad
    if bad is None:
        span = "" if verdict.first_seq <= 1 else f" (from record {verdict.first_seq} on)"
        print(f"OK: {verdict.count} records in {len(verdict.files)} files{span}")
        print(f"head: {verdict.head_hash}/{verdict.head_seq}")
        return
    name = f"record {bad.seq}" if bad.seq else "record"
    print(f"BROKEN: {bad.file} line {bad.line}: {name} {bad.fault}: {bad.why}")
    print(f"good until then: {verdict.count} records, head {verdict.head_hash}/{verdict.head_seq}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool; returns the exit code."""
    arguments = _arguments(argv)
    try:
        key = _key(arguments.hmac_key_file)
        files, whole = find_segments(arguments.paths or [Path("logs/audit.jsonl")])
        verdict = verify(files, whole=whole, key=key, known=arguments.head)
    except FileNotFoundError as error:
        print(f"verify_audit: {error.filename or error}: no such file", file=sys.stderr)
        return USAGE
    except OSError as error:
        print(f"verify_audit: {error}", file=sys.stderr)
        return USAGE
    if arguments.json:
        result = {"ok": verdict.bad is None, **asdict(verdict)}
        print(json.dumps(result, ensure_ascii=False, indent=2))
    else:
        _say(verdict)
    return HOLDS if verdict.bad is None else BROKEN


if __name__ == "__main__":
    sys.exit(main())
