"""What was measured → a batch: chosen, planned by slice, and how far it can be trusted."""
