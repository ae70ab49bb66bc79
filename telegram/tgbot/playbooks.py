"""The playbooks of `docs/playbooks` for the phone (floor 5)."""

from pathlib import Path

from tgbot.render import Block, Card

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "playbooks"


def names() -> tuple[str, ...]:
    """Names of the playbooks, sorted."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.md")))


def card(name: str, badge: str) -> Card | None:
    """The playbook as a message; None when there is none of that name."""
    if name not in names():
        return None
    lines = (FOLDER / f"{name}.md").read_text("utf-8").splitlines()
    title = lines[0].lstrip("# ").strip()
    body = (line.replace("**", "").replace("`", "") for line in lines[1:])
    plain = tuple(f"▸ {line.lstrip('# ')}" if line.startswith("#") else line for line in body)
    return Card(f"{badge} · 📖 {title}", (Block(plain[1:]),))
