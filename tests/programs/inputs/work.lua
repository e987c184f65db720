-- Tables, strings and closures; Lua asks realloc for everything it has.
local state = 17
local function draw(n)
    state = (state * 1103515245 + 12345) % 2147483648
    return state % n
end

local words, count = {}, {}
for i = 1, 150000 do
    local letters = {}
    for j = 1, 1 + draw(8) do
        letters[j] = string.char(97 + draw(6))
    end
    words[i] = table.concat(letters)
    count[words[i]] = (count[words[i]] or 0) + 1
end
local names = {}
for name in pairs(count) do
    names[#names + 1] = name
end
table.sort(names, function(a, b)
    return count[a] > count[b] or (count[a] == count[b] and a < b)
end)
print(#names, names[1], names[2], names[3], count[names[1]])

local function tree(depth)
    if depth == 0 then return {} end
    return { tree(depth - 1), tree(depth - 1) }
end
local function size(node)
    return node[1] and 1 + size(node[1]) + size(node[2]) or 1
end
local total = 0
for round = 1, 40 do
    total = total + size(tree(8 + round % 5))
end
print(total)

local text = table.concat(words, ' ')
local swapped = text:gsub('(a+)(b+)', '%2%1')
print(#text, #swapped, select(2, text:gsub('ab', '')))

local threads = {}
for i = 1, 300 do
    threads[i] = coroutine.wrap(function()
        for j = 1, 50 do
            coroutine.yield(('x'):rep(i + j))
        end
    end)
end
local bytes = 0
for j = 1, 50 do
    for i = 1, 300 do
        bytes = bytes + #threads[i]()
    end
end
print(bytes)
