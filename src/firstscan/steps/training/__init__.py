"""Labelled scans → trained models, predictions, scores."""
