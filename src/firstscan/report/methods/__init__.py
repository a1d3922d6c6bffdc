"""The methods paragraph and the literature it cites."""
