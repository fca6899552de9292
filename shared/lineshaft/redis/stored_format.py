"""The version of what is stored in Redis, so that an older Lineshaft never misreads what a newer one has written."""

from lineshaft.errors import ConfigError

from .client import Client

# Counted up with every change that the versions before cannot read. Whoever does that also writes how the older data
# are converted, and keeps reading them while a rolling deploy lasts.
FORMAT = 1


async def check_format(client: Client) -> None:
    """Raises ConfigError if the data are of a newer format than this version knows; marks them as ours otherwise."""
    stored = await client.script("format_check", known=FORMAT)
    if stored > FORMAT:
        raise ConfigError(
            f"this Redis holds data of a newer Lineshaft (format {stored}, this version knows {FORMAT}): "
            "use that version again, or restore a backup from before the upgrade"
        )
