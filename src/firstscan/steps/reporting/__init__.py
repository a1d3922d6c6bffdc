"""A finished batch → its report."""
