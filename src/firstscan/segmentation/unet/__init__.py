"""A small 3D U-Net for quick studies, on a processor or a GPU."""
