"""The review page: a batch looked at, steered and exported in a local browser; every action is logged."""
