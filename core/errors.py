"""The one exception that means "the user can repair this": printed as one line, exit code 2, no traceback."""


class UserError(ValueError):
    """Names the thing, the rule it breaks, the value it has, and the repair, in one line."""
