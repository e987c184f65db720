# Ruby row: records become strings, hashes and groups, and a report is written from them.
Record = Struct.new(:id, :name, :city, :amounts)

chance = Random.new(7)
cities = %w[Aachen Berlin Bremen Celle Dresden Erfurt Fulda Goslar Hanau Jena]
total = 0
8.times do |pass|
  records = Array.new(6000) do |id|
    Record.new(id, "customer number #{id} of pass #{pass}, #{'x' * chance.rand(10..80)}", cities[chance.rand(10)],
               Array.new(chance.rand(5..25)) { chance.rand(1..10_000) })
  end
  groups = records.group_by(&:city).transform_values do |group|
    group.sort_by { |record| [-record.amounts.sum, record.id] }.first(500)
  end
  lines = groups.sort.flat_map do |city, group|
    group.map { |record| "#{city};#{record.id};#{record.name.upcase.tr('X', '-')};#{record.amounts.join('|')}" }
  end
  text = lines.join("\n")
  back = text.split("\n").map { |line| line.split(';').map(&:dup) }
  total += text.size + back.sum { |fields| fields[3].split('|').size }
end
puts total
