"""One edit from files to files: a request, its inputs, the run, its outputs."""
