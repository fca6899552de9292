"""Takes what another Agent Server holds into this one, through the public API of both."""
