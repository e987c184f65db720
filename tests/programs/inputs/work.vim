" Substitutes, sorts, joins and undoes in a file of twenty thousand lines.
%s/\(\d\+\) with/\=submatch(1) * 2/g
%s/words/W\U&/e
sort! n
g/7 /move 0
1,2000join
undo
%g/00 /normal Aappended
call append('$', map(range(5000), 'string(v:val * v:val) . repeat("-", v:val % 40)'))
sort u
write
quit
