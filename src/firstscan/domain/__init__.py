"""Nouns of firstscan: plain, frozen data that every stage can exchange. numpy and standard library only."""
