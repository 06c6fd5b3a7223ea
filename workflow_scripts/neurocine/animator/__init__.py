"""Mind-Animator's way from decoded features to clips."""
