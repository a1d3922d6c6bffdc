"""What the scores of a study say: differences to random, over pools, over the work of annotating."""
