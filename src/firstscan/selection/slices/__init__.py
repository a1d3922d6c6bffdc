"""Plans by slice: which slices of the picks to annotate."""
