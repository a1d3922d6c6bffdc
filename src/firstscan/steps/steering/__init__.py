"""A finished batch changed: one pick replaced, more added, or steered on the review page."""
