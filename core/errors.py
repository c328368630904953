"""The one exception that the user can repair: it is printed as one line, with exit code 2 and no traceback."""


class UserError(ValueError):
    """Its message is one line: the thing, the rule that it breaks, the value that it has, and the repair."""
