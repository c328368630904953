"""The detector: recordings in, decisions out. Knows nothing of the search or of the tracking server."""

__version__ = "0.1.0"
