"""Hand-off folders → the labels that came back, checked and joined."""
