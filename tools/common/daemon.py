"""Is a daemon running on this data folder? (floor 8; INV-15)"""

from core.config import TradingConfig
from core.domain.errors import InstanceLocked
from core.kernel.instance_lock import InstanceLock


def running_daemon(config: TradingConfig) -> str:
    """Who holds the data folder, as `pid 123`; empty when nobody does."""
    if not (config.data_dir / "instance.lock").exists():
        return ""
    try:
        with InstanceLock(config.data_dir):
            return ""
    except InstanceLocked as error:
        return str(error).partition("(")[2].partition(")")[0]
