"""The same from a set that is still arriving."""
