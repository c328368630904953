"""The built-in toy car."""
