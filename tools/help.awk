# Prints a Makefile as a page of help: "##@ Group" lines, and "target: … ## what it does" lines.
/^##@ / { printf "\n%s\n", substr($0, 5) }
/^[a-zA-Z0-9_-]+:.* ## / {
    target = $0
    sub(/:.*/, "", target)
    sub(/^.* ## /, "")
    printf "  make %-13s %s\n", target, $0
}
