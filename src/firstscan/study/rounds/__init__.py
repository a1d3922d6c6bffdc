"""Plans with rounds: a first batch, then scans that a rule chooses by what was learned from it."""
