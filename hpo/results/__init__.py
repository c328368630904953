"""Which trial won, and what the study found."""
