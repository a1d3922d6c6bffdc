"""Trainers that nnU-Net finds through ``nnUNet_extTrainer``; they run inside nnU-Net's own environment."""
