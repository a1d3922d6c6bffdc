"""Downstream trainers behind one protocol, and the scorer of what they predict."""
