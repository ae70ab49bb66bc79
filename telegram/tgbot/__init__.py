"""The operator's bot in Telegram and the alerts (floor 5, a sister of `core.observe`)."""
