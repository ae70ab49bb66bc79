"""Floor 7: how one process is put together. `core.app` is the face."""
