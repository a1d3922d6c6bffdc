"""Read → call → write: one step a module, each cached per case, each able to resume after it was killed."""
