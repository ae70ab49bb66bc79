"""The project's own checks (upkeep floor): standard library only, each a function of the tree.

`checks.structure.violations(root)` runs them all; `floors.toml` is their table.
"""
