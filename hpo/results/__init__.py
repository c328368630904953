"""The results of a study: winner, metrics, comparison with alternatives, and the search of post-processing."""
