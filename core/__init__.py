"""The detector: recordings in, decisions out. Knows nothing of the search or of the tracking server."""
