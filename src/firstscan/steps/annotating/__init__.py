"""Batch → hand-off folders → the labels that came back."""
