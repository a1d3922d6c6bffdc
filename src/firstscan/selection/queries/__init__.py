"""Rules for the rounds after labels exist: what a model is unsure of, measured per scan, and which scans to take."""
