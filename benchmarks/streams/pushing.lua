-- wrk sends requests one behind the other from a file, each once; arguments: the file, and the bytes of each request.
-- At its end it asks for a page that is not there, so that this shows as failures.

local text, size
local at = 0

function init(args)
  local file = assert(io.open(args[1], "rb"))
  text = file:read("*a")
  file:close()
  size = tonumber(args[2])
end

function request()
  local from = at
  at = at + size
  if at > #text then return "GET /no-more HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" end
  return text:sub(from + 1, at)
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '{"requests": %d, "microseconds": %d, "failed": %d, "p50": %d, "p99": %d}\n',
    summary.requests, summary.duration,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
