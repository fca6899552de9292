"""The errors of Lineshaft: a small closed set, raised where they are known and translated to HTTP once."""


class LineshaftError(Exception):
    """Base of all our errors; the text is meant for the caller."""


class Invalid(LineshaftError):
    """The request is well-formed but its values cannot be used (422)."""


class BadRequest(LineshaftError):
    """The request contradicts itself (400)."""


class Unauthorized(LineshaftError):
    """Nobody knows who is asking (401). `challenge` is what WWW-Authenticate says, if anything."""

    def __init__(self, message: str, challenge: str = "") -> None:
        super().__init__(message)
        self.challenge = challenge


class Forbidden(LineshaftError):
    """Whoever asks may not do this, and knows that it is there to be done (403)."""


class Refused(LineshaftError):
    """Code of the user's has refused the request, with a status and headers that it chose."""

    def __init__(self, status: int, message: str, headers: dict[str, str]) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers


class NotFound(LineshaftError):
    """What the request names does not exist (404)."""


class Conflict(LineshaftError):
    """What the request wants does not fit the present state (409)."""


class TooLarge(LineshaftError):
    """Something is over a documented limit (413)."""


class TooMany(LineshaftError):
    """A documented limit on how many is reached; fewer at a time will work (429).

    `retry_after`, in seconds, where waiting helps.
    """

    def __init__(self, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unavailable(LineshaftError):
    """Nobody can do it now; asking again later may work (503). `retry_after` is in seconds."""

    def __init__(self, message: str, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Fenced(LineshaftError):
    """The token of a write is not the run's current one: the run was lost, and nothing was written."""


class GraphChanged(LineshaftError):
    """A run is to go on where its graph has no node any more. It ends its run, and changes nothing of the thread."""


class ConfigError(LineshaftError):
    """A configuration file, variable or flag cannot be used; the text is one line for the operator."""
