"""Scans → batch: index, check, measure, choose, and how far the choice can be trusted."""
