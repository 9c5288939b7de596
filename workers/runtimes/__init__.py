"""The engines that run a network, one file each, behind `base.Session`."""
