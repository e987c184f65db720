-- Lua row: a scene graph of tables, closures and strings is built, changed, printed and dropped, pass after pass.
local state = 42
local function chance(bound)
    state = (state * 1103515245 + 12345) % 2147483648
    return (state // 65536) % bound + 1
end

local function node(depth)
    local made = {name = "node-" .. chance(100000), x = chance(1000), y = chance(1000), children = {}}
    made.moved = function(dx) return made.x + dx end
    if depth > 0 then
        for i = 1, 3 do made.children[i] = node(depth - 1) end
    end
    return made
end

local function describe(tree, lines)
    lines[#lines + 1] = tree.name .. "@" .. tree.moved(5) .. "," .. tree.y
    for _, child in ipairs(tree.children) do describe(child, lines) end
    return lines
end

local total, kept = 0, {}
for pass = 1, 60 do
    local text = table.concat(describe(node(7), {}), ";")
    local parts = {}
    for part in text:gmatch("[^;]+") do parts[#parts + 1] = part:upper():gsub("NODE", "n") end
    kept[pass % 8] = parts
    total = total + #text + #parts
end
print(total)
