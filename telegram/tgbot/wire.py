"""The library python-telegram-bot behind one face (floor 5).

Its `Bot` does requests and types; polling is ours, because its own updater makes tasks of its own
and treats a second poller as something to fight. Errors leave as the five kinds of `outbox`.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from warnings import catch_warnings, simplefilter

from telegram import (
    Bot,
    BotCommand,
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    InputFile,
    LinkPreviewOptions,
    Message,
    Update,
)
from telegram.constants import ParseMode
from telegram.error import (
    BadRequest,
    ChatMigrated,
    Conflict,
    Forbidden,
    InvalidToken,
    RetryAfter,
    TelegramError,
)
from telegram.warnings import PTBDeprecationWarning

from core.domain.ports import Clock
from core.exchange.gateway import ConnectorFactory
from tgbot.auth import Incoming
from tgbot.outbox import Button, Conflicted, Outgoing, Rejected, SlowDown, TokenDead, Unreachable
from tgbot.transport import AiohttpRequest

OFFICIAL = "https://api.telegram.org"
POLL_S = 25
_WHOLE_S = 30.0
_KINDS = ["message", "callback_query"]


class Wire:
    """The Bot API for one token. `base_url` None is Telegram's own, `connector` None is TCP."""

    def __init__(
        self,
        token: str,
        base_url: str | None,
        clock: Clock,
        connector: ConnectorFactory | None = None,
    ) -> None:
        self._polling = AiohttpRequest(clock, connector)
        self._sending = AiohttpRequest(clock, connector)
        base = (base_url or OFFICIAL).rstrip("/")
        self._bot = Bot(
            token,
            base_url=f"{base}/bot",
            base_file_url=f"{base}/file/bot",
            request=self._sending,
            get_updates_request=self._polling,
        )

    async def identify(self) -> tuple[int, str]:
        """Id and user name of the bot."""
        with _our_errors():
            async with asyncio.timeout(_WHOLE_S):
                me = await self._bot.get_me()
        return me.id, me.username or ""

    async def begin(self, menu: Sequence[tuple[str, str]]) -> None:
        """Forget what was sent while nobody listened, and register the menu."""
        with _our_errors():
            async with asyncio.timeout(_WHOLE_S):
                await self._bot.delete_webhook(drop_pending_updates=True)
                await self._bot.set_my_commands([BotCommand(*entry) for entry in menu])

    async def poll(self, offset: int | None) -> tuple[tuple[int, Incoming | None], ...]:
        """Updates from `offset`, waiting for the first; None for what cannot be used."""
        with _our_errors():
            async with asyncio.timeout(POLL_S + _WHOLE_S):
                updates = await self._bot.get_updates(
                    offset=offset, timeout=POLL_S, allowed_updates=_KINDS
                )
        ahead_ms = self._polling.ahead_ms
        return tuple((update.update_id, incoming_of(update, ahead_ms)) for update in updates)

    async def send(self, item: Outgoing) -> None:
        keyboard = _keyboard(item.buttons)
        with _our_errors():
            async with asyncio.timeout(_WHOLE_S):
                if item.callback_id:
                    await self._bot.answer_callback_query(item.callback_id, text=item.html or None)
                elif item.photo:
                    await self._bot.send_photo(
                        item.chat_id,
                        InputFile(item.photo, filename="equity.png"),
                        caption=item.html,
                        parse_mode=ParseMode.HTML,
                        disable_notification=item.silent,
                    )
                elif item.edit_id:
                    await self._bot.edit_message_text(
                        item.html,
                        chat_id=item.chat_id,
                        message_id=item.edit_id,
                        parse_mode=ParseMode.HTML,
                        reply_markup=keyboard,
                    )
                else:
                    await self._bot.send_message(
                        item.chat_id,
                        item.html,
                        parse_mode=ParseMode.HTML,
                        reply_markup=keyboard,
                        disable_notification=item.silent,
                        link_preview_options=LinkPreviewOptions(is_disabled=True),
                    )

    async def close(self) -> None:
        await self._polling.shutdown()
        await self._sending.shutdown()


def _keyboard(rows: Sequence[Sequence[Button]]) -> InlineKeyboardMarkup | None:
    if not rows:
        return None
    return InlineKeyboardMarkup(
        [[InlineKeyboardButton(b.label, callback_data=b.data) for b in row] for row in rows]
    )


@contextmanager
def _our_errors() -> Iterator[None]:
    try:
        yield
    except RetryAfter as error:
        raise SlowDown(max(_seconds(error), 1.0)) from None
    except Conflict as error:
        raise Conflicted(error.message) from None
    except InvalidToken as error:
        raise TokenDead(error.message) from None
    except (BadRequest, Forbidden, ChatMigrated) as error:
        raise Rejected(error.message) from None
    except TelegramError as error:
        raise Unreachable(error.message) from None
    except TimeoutError:
        raise Unreachable("no answer in time") from None


def _seconds(error: RetryAfter) -> float:
    """The pause, in either of the types the library is changing between."""
    with catch_warnings():
        simplefilter("ignore", PTBDeprecationWarning)
        pause = error.retry_after
    return float(pause if isinstance(pause, int | float) else pause.total_seconds())


def incoming_of(update: Update, ahead_ms: int) -> Incoming | None:
    """The parts the daemon uses, in this machine's time, which the service's is ahead of; None for
    edits, channel posts, joins and the like."""
    query, message = update.callback_query, update.message
    if query is not None:
        message = query.message if isinstance(query.message, Message) else None
    if message is None:
        return None
    person = query.from_user if query is not None else message.from_user
    written = message.text if query is None else query.data
    if person is None or written is None:
        return None
    return Incoming(
        update_id=update.update_id,
        user_id=person.id,
        chat_id=message.chat.id,
        name=person.first_name,
        private=message.chat.type == "private",
        bot=person.is_bot or message.via_bot is not None,
        forwarded=query is None and message.forward_origin is not None,
        text=written if query is None else "",
        data=written if query is not None else "",
        callback_id=query.id if query is not None else "",
        message_id=message.message_id,
        sent_ms=int(message.date.timestamp() * 1_000) - ahead_ms if query is None else 0,
    )
