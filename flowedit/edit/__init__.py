"""One edit in memory: prepare, a generator of steps, finish; masks, windows of a long clip, resuming."""
