# Strings, hashes and objects under a collector that sits on malloc; threads and fibers too.
require 'json'
require 'digest'

random = Random.new(5)
words = Array.new(120_000) { Array.new(random.rand(1..8)) { (97 + random.rand(7)).chr }.join }
counts = words.tally
puts counts.size, counts.sort_by { |word, count| [-count, word] }.first(5).inspect

document = words.each_slice(50).map { |slice| { 'first' => slice.first, 'all' => slice, 'bytes' => slice.sum(&:size) } }
text = JSON.generate(document)
puts text.size, Digest::SHA256.hexdigest(text), JSON.parse(text) == document

Node = Struct.new(:left, :right, :value)
def tree(depth)
  depth.zero? ? Node.new(nil, nil, 1) : Node.new(tree(depth - 1), tree(depth - 1), depth)
end
def total(node)
  node ? node.value + total(node.left) + total(node.right) : 0
end
puts (1..30).sum { |round| total(tree(10 + round % 3)) }

threads = Array.new(4) { |n| Thread.new { (1..20_000).sum { |i| (i.to_s * (i % 17 + n)).size } } }
puts threads.map(&:value).inspect

fibers = Array.new(500) { |n| Fiber.new { 20.times { |i| Fiber.yield 'f' * (n + i) } } }
puts 20.times.sum { fibers.sum { |fiber| fiber.resume.size } }
puts 5000.downto(1).reduce(:*).to_s.size
