"""One writer a target: turns a selection into what a labelling tool or nnU-Net opens as it is."""
