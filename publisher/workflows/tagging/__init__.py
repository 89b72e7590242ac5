"""Tags: what they hold, how they are written, proven, settled and taken away."""
