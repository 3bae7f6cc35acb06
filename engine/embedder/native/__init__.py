"""The step of a causal network as machine code for this processor, compiled here by Numba: no library call, no allocation.

Reading order, bottom up: `products` (the one matrix product everything uses), `elementwise` (exponential, GELU, norm,
softmax), `drawing` (heatmaps, and their patch embedding where they are not zero), `blocks` (transformer blocks),
`weights` (a bundle's weights, arranged for all that), `runtime` (the step, and the lanes that remember).
"""
