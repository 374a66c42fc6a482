"""Values that a user declares, and the checkpoint and run card that a model folder holds."""
