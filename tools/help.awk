# Prints the help page of a Makefile from its lines "##@ Group" and "target: … ## description".
/^##@ / { printf "\n%s\n", substr($0, 5) }
/^[a-zA-Z0-9_-]+:.* ## / {
    target = $0
    sub(/:.*/, "", target)
    sub(/^.* ## /, "")
    printf "  make %-13s %s\n", target, $0
}
