"""Strategies: one module each, discovered by file name. They may import floor 0 only."""
