"""The tree of the ToyADMOS data set."""
