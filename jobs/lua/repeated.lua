-- Answers as `repeated` in shared/repeats.lua, or false for a new key.
return repeated(ARGV[6], ARGV[7]) or false
