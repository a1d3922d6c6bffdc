"""nnU-Net v2, run as a program."""
