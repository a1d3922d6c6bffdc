"""One module a layout: how the files of an export become cases."""
