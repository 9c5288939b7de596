-- Removes a worker that stops.
forget(ARGV[1])
