"""One query rule a file, each with its reference and deviations in the docstring."""
