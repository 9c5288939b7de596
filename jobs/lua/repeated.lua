-- Answers as `repeated` in shared/repeats.lua, or false for a new key.
-- Computed keys: record (the job of the key).
return repeated(ARGV[6], ARGV[7]) or false
