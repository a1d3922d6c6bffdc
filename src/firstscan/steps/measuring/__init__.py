"""Scans → what is known of them: index, check, standardise, train, measure."""
