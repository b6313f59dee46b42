-- What wrk sends in the load test: a create, two lists, a create and so on; every created id goes into a file.
local counter, thread_number = 0, 0

function setup(thread)
    counter = counter + 1
    thread:set("number", counter)
end

function init(args)
    token, folder, run = args[1], args[2], args[3]
    sent = 0
    ids = assert(io.open(folder .. "/ids-" .. number, "a"))
    headers = { ["Authorization"] = "Bearer " .. token, ["Content-Type"] = "application/json" }
end

function request()
    sent = sent + 1
    if sent % 3 == 1 then
        local body = string.format('{"name":"load-%s-%d-%d","scopes":["builds:read"]}', run, number, sent)
        return wrk.format("POST", "/tokens/v1/orgs/org-1/create", headers, body)
    end
    return wrk.format("GET", "/tokens/v1/orgs/org-1", headers)
end

function response(status, fields, body)
    if status == 201 then
        ids:write(string.match(body, '"orgTokenId":"([^"]+)"'), "\n")
        ids:flush()
    elseif status ~= 200 or not string.find(body, ']}', -2, true) then
        io.stderr:write("status ", status, "\n")
    end
end

function done(summary, latency, requests)
    local e = summary.errors
    io.write(string.format("errors connect=%d read=%d write=%d status=%d timeout=%d\n", e.connect, e.read, e.write,
        e.status, e.timeout))
end
