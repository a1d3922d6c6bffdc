"""DICOM: headers, series, and their slices as one image."""
