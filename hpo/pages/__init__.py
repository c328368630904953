"""What people look at: the study's page and a trial's page, as self-contained HTML."""
