"""Training: one loop and its checkpoints, and one module per trained model."""
