# Perl row: a word index of generated text: splitting, hashes of arrays, substitutions, sorting and joining.
use strict;
use warnings;

my $state = 12345;
sub chance { my ($bound) = @_; $state = ($state * 1103515245 + 12345) % 2147483648; return int($state / 65536) % $bound; }

my @stems = map { join '', map { chr(97 + chance(26)) } 1 .. 3 + chance(9) } 1 .. 6000;
my @lines = map { join ' ', map { $stems[chance(6000)] } 1 .. 12 } 1 .. 22000;
my (%index, %pairs);
for my $number (0 .. $#lines) {
    my @words = split / /, $lines[$number];
    push @{$index{$_}}, $number for @words;
    $pairs{"$words[$_] $words[$_ + 1]"}++ for 0 .. 4;
    (my $changed = $lines[$number]) =~ s/([aeiou])/<$1>/g;
    $lines[$number] = $changed;
}
my @top = (sort { @{$index{$b}} <=> @{$index{$a}} || $a cmp $b } keys %index)[0 .. 9];
my $joined = join "\n", map { "$_: " . join(',', @{$index{$_}}) } sort keys %index;
print join(' ', @top), ' ', length($joined), ' ', scalar(keys %pairs), ' ', length(join '', @lines), "\n";
