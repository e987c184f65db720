# Lists, dictionaries and strings.
set state 23
proc draw {n} {
    global state
    set state [expr {($state * 1103515245 + 12345) & 0x7fffffff}]
    return [expr {($state >> 8) % $n}]
}
set counts [dict create]
for {set i 0} {$i < 60000} {incr i} {
    set word ""
    for {set j [expr {1 + [draw 6]}]} {$j > 0} {incr j -1} {
        append word [format %c [expr {97 + [draw 6]}]]
    }
    dict incr counts $word
}
puts "[dict size $counts] [lrange [lsort [dict keys $counts]] 0 9]"
set list {}
for {set i 0} {$i < 100000} {incr i} {
    lappend list [string repeat [format %d $i] [expr {$i % 5}]]
}
puts "[llength $list] [string length [join [lsort $list] ,]]"
array set table {}
for {set i 0} {$i < 100000} {incr i} {
    set table([expr {$i * 7919 % 10007}]) [list $i [string length $i]]
    if {$i % 3 == 0} { unset -nocomplain table([expr {$i * 31 % 10007}]) }
}
puts [array size table]
puts [string length [regsub -all {(a+)(b+)} [join [dict keys $counts] " "] {\2\1}]]
puts [string length [expr {3 ** 20000}]]
