"""The source `simulated`: the built-in toy car."""
