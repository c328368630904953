"""Scores to decisions, and how good the decisions are."""
