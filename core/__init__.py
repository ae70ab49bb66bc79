"""The daemon's code. `docs/architecture.md` tells who lives on which floor and who may import whom."""
