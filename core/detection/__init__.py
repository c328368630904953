"""Judges recordings with a detector that a study has found."""
