"""The toy world: movies with a grammar, brains that watch them, foundation models that know them."""
