"""Request parameters: text in, checked values out (floor 2c). Raises the documented ApiErrors."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation

from core.paper.errors import ApiError, missing, refuse


class Params:
    """Parameters of one request, query and form body merged (the query wins)."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def optional(self, name: str) -> str | None:
        """The text, or None when absent or empty."""
        return self._values.get(name) or None

    def text(self, name: str) -> str:
        value = self.optional(name)
        if value is None:
            raise missing(name)
        return value

    def any_of(self, *names: str) -> str | None:
        """The first of several spellings that is present."""
        return next((value for name in names if (value := self.optional(name))), None)

    def optional_decimal(self, name: str) -> Decimal | None:
        text = self.optional(name)
        if text is None:
            return None
        try:
            value = Decimal(text)
        except InvalidOperation:
            raise _illegal(name, "^([0-9]{1,20})(\\.[0-9]{1,20})?$") from None
        if not value.is_finite():
            raise _illegal(name, "^([0-9]{1,20})(\\.[0-9]{1,20})?$")
        return value

    def decimal(self, name: str) -> Decimal:
        value = self.optional_decimal(name)
        if value is None:
            raise missing(name)
        return value

    def optional_integer(self, name: str) -> int | None:
        text = self.optional(name)
        if text is None:
            return None
        try:
            return int(text)
        except ValueError:
            raise _illegal(name, "^[0-9]{1,20}$") from None

    def integer(self, name: str, default: int | None = None) -> int:
        value = self.optional_integer(name)
        if value is None:
            if default is None:
                raise missing(name)
            return default
        return value

    def limit(self, default: int, most: int) -> int:
        """`limit` within 1…most; what is above is cut, what is below is refused."""
        value = self.integer("limit", default)
        if value < 1:
            raise ApiError(-1130, "Data sent for parameter 'limit' is not valid.")
        return min(value, most)

    def flag(self, name: str) -> bool:
        """A boolean as clients spell it (`true`, `True`, `TRUE`); absent is False."""
        text = self.optional(name)
        if text is None:
            return False
        lowered = text.lower()
        if lowered not in ("true", "false"):
            raise _illegal(name, "^(true|false)$")
        return lowered == "true"

    def symbol(self, known: Mapping[str, object]) -> str:
        value = self.text("symbol")
        if value not in known:
            raise refuse(-1121)
        return value

    def optional_symbol(self, known: Mapping[str, object]) -> str | None:
        return self.symbol(known) if self.optional("symbol") else None


def _illegal(name: str, legal: str) -> ApiError:
    return ApiError(
        -1100, f"Illegal characters found in parameter '{name}'; legal range is '{legal}'."
    )
