"""How far a batch can be trusted: stability, confounders, and properties that need no label."""
