# tally.bash: what the scripts of this directory share. claim "words" command... counts the command's success, and shows
# its output where it failed; finish ends the script with the tally.
set -u
export LC_ALL=C
source_directory=$1 build_directory=$2 compiler=$3
here=$source_directory/tests/packaging
passed=0
failed=0

claim() {
    local words=$1 output
    shift
    if output=$("$@" 2>&1); then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        printf 'FAIL %s\n%s\n' "$words" "$output"
    fi
}

finish() {
    echo "$passed passed, $failed failed"
    [ "$failed" = 0 ]
    exit
}
