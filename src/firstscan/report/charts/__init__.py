"""Charts, maps and small pictures of the report."""
