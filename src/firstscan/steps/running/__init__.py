"""How a step runs, and what is known of a results folder: settings, sources, headers, history. Changes no result."""
