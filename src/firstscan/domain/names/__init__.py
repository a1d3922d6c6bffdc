"""Rules about names: which mean a label map, and neutral ones in place of those of people."""
