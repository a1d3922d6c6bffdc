"""The main job from scans to report: as a command, as the demonstration, from Python."""
