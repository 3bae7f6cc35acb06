"""Pure PyTorch and NumPy, no I/O: skeleton layouts, crop, heatmaps, the transformer, matching, fusion.

Imports nothing of ours. What the live path needs at run time (`skeleton`, `crop`) imports without torch;
what needs torch says so by importing it at the top of its own file.
"""
