"""Floor 1: the machinery every organ stands on (time, chance, tasks, fan-out, secrets, lock)."""
