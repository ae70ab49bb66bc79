"""Floor 2b: what the daemon remembers (audit chain, database, journal)."""
