"""The engines that run networks, one file each, behind `base.Session`."""
