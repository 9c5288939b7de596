-- Frees the worker of a run that was withdrawn or lost.
unlease(stopping_run(ARGV[6], ARGV[7]))
