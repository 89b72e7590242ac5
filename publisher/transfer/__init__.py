"""Moving content: compression, the pipeline from an export, copies, and what an image is."""
