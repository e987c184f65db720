<?php
// Arrays, strings and JSON; large arrays leave PHP's own pools for malloc.
ini_set('memory_limit', '1G');
mt_srand(3);
$counts = [];
for ($i = 0; $i < 200000; $i++) {
    $word = '';
    for ($j = mt_rand(1, 8); $j > 0; $j--) $word .= chr(97 + mt_rand(0, 5));
    $counts[$word] = ($counts[$word] ?? 0) + 1;
}
ksort($counts);
arsort($counts);
echo count($counts), ' ', json_encode(array_slice($counts, 0, 5)), "\n";
$text = json_encode($counts);
echo strlen($text), ' ', hash('sha256', $text), ' ', json_decode($text, true) == $counts ? 'same' : 'not', "\n";
$large = range(1, 1000000);
shuffle($large);
sort($large);
echo array_sum($large), ' ', strlen(implode(',', $large)), "\n";
function tree($depth) { return $depth ? [tree($depth - 1), tree($depth - 1)] : [1]; }
$leaves = 0;
for ($round = 0; $round < 20; $round++) {
    $tree = tree(12);
    array_walk_recursive($tree, function ($leaf) use (&$leaves) { $leaves += $leaf; });
}
echo $leaves, "\n", preg_match_all('/(\w)\1/', $text), "\n";
