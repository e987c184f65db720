# Hashes, arrays, strings and regular expressions, with closures and objects that come and go.
use strict;
use warnings;

my $state = 42;
sub draw { $state = ($state * 1103515245 + 12345) & 0x7fffffff; return $state % $_[0]; }

my %count;
for (1 .. 200000) {
    my $word = join '', map { chr(97 + draw(6)) } 1 .. 1 + draw(8);
    $count{$word}++;
}
my @top = sort { $count{$b} <=> $count{$a} || $a cmp $b } keys %count;
print scalar(@top), " words, first: @top[0..9]\n";

my $text = join ' ', @top;
my $pairs = 0;
$pairs++ while $text =~ /(\w)\1/g;
(my $changed = $text) =~ s/(a+)(b+)/$2$1/g;
print "$pairs pairs, ", length($changed), " bytes, ", unpack('%32C*', $changed), "\n";

package Stack;
sub new { return bless { items => [] }, shift }
sub push { my $self = shift; push @{ $self->{items} }, @_; return $self }
sub pop { return pop @{ $_[0]{items} } }

package main;
my $sum = 0;
for my $round (1 .. 200) {
    my $stack = Stack->new;
    $stack->push({ number => $_, text => 'x' x ($_ % 50) }) for 1 .. 300;
    $sum += $_->{number} * length $_->{text} while defined($_ = $stack->pop);
}
print "$sum\n";

my @matrix = map { [ map { draw(1000) } 1 .. 120 ] } 1 .. 120;
my @product;
for my $i (0 .. 119) {
    for my $j (0 .. 119) {
        my $cell = 0;
        $cell += $matrix[$i][$_] * $matrix[$_][$j] for 0 .. 119;
        $product[$i][$j] = $cell;
    }
}
print join(' ', map { $product[$_][119 - $_] } 0 .. 5), "\n";
print sprintf('%s', join ',', map { sprintf '%x', $_ } sort { $a <=> $b } map { draw(1 << 30) } 1 .. 50000) =~ tr/0-9//, "\n";
