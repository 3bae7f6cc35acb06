"""Where in the reference the live stream is: emission, the switching bar-pointer HMM, and how a reference is fitted."""
