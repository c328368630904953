"""HTML pages from templates: the base page, its style, and how figures get into it."""
