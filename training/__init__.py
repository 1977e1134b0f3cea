"""Makes the weights of the small Wan: data, styles, and a training run for each part."""
