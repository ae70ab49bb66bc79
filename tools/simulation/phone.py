"""A seed with a phone (floor 8): a script of faults, and a person who steers meanwhile."""

from dataclasses import replace
from pathlib import Path

from core.simulation.schedule import FaultKind, write_script
from tools.simulation.campaign import SeedRun, drive, plan_of
from tools.simulation.chat import Chat, write_calls


def run_phone(
    seed: int,
    hours: float,
    folder: Path,
    kinds: tuple[FaultKind, ...] | None = None,
    intensity: float = 1.0,
) -> tuple[SeedRun, Chat]:
    """Run one seed in `folder`, which is replaced. `kinds` forces the mix of the other faults,
    `intensity` multiplies what happens to and by the phone."""
    script = write_script(seed, hours, kinds)
    chats: list[Chat] = []

    async def play(run: SeedRun) -> None:
        chat = Chat(run.world, run.observer, write_calls(script, intensity), script.heal_at)
        chats.append(chat)
        run.world.supervisor.spawn("phone", chat.play)
        await run.play()
        chat.judge(run.world.past[-1].folder / "logs")

    return drive(script, folder, play, replace(plan_of(script), phone=True)), chats[0]
