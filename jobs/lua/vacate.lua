-- Frees the worker of a run that was withdrawn or lost.
unlease(place_of(ARGV[6], ARGV[7]))
