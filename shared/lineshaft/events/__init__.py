"""Events: the log of a thread, written by attempts and followed by streams."""
