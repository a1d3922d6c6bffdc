"""File formats that are read by ourselves, or looked at before a library reads them."""
