"""No memory image of this process on any disk (floor 1; INV-12).

A core dump holds every secret the process knows, in the clear. Windows has no such limit; what its
error reporting keeps is the system's setting.
"""

import sys

if sys.platform == "win32":

    def forbid_core_dumps() -> None:
        """Nothing to forbid here."""

else:
    import resource

    def forbid_core_dumps() -> None:
        """For this process and its children, for good: a lowered hard limit stays lowered."""
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
