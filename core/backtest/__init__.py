"""Floor 6: a strategy over recorded candles, with the daemon's own sizing, plan, stop and ladder.

`history` holds the candles, `contracts` the filters, `rules` what is assumed, `bracket` plays one
position to its end, `run` a whole account, `baselines` what it is compared with, `report` tells.
"""
