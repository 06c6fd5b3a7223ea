"""Small foundation models of the toy world, in the layouts of the published ones."""
