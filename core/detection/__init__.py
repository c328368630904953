"""The winner at work on files."""
