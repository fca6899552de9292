"""The domain of Lineshaft: what a run is, and how it lives in Redis."""

__version__ = "0.1.0"
