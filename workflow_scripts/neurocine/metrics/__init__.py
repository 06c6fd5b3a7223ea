"""What the reconstructions are worth: metrics with their definition in the name, chance, nulls, intervals."""
