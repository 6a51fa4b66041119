"""What the nodes agree on: commands, the image that they make, and the plans that lead to commands.  Pure."""
