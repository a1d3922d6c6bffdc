"""Constraints: what the user asks of a batch, and the gate through which every pick goes."""
