"""Deterministic simulation of the whole daemon (floor 8)."""
