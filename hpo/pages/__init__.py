"""The pages that people open: the report of a study, the page of a trial, and the page of folds, each one HTML file."""
