"""A study: plan → cells → run → summary. It repeats what users run, many times, and compares honestly."""
