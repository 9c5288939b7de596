"""Result cache: the same picture with the same options is answered without a worker."""
