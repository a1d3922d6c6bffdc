"""A folder or table → cases: which files are scans, which are label maps, and what is passed over."""
