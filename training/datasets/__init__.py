"""Readers of data sets, one file per published format, all giving `base.Clip`s."""
