"""What a user declares, as frozen values; the checkpoint and the run card that a model folder holds."""
