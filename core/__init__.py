"""The daemon's code; `docs/architecture.md` tells who may import whom."""
