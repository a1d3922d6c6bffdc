"""What a study measured, as tables, charts and one page."""
