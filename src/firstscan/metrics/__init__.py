"""Pure functions on scores: empty-mask rules, intervals, paired tests, ranking. No file, no torch."""
