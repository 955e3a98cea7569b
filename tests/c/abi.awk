# Makes of slotwise.h a C program that prints what callers are compiled against: every number that
# the header gives, and where every field of every structure lies.
BEGIN {
    print "#include <inttypes.h>\n#include <stdio.h>\n#include \"slotwise.h\"\nint main(void) {"
}
$1 == "#define" && $2 ~ /^SLOTWISE_[A-Z0-9_]+$/ && $3 ~ /^[0-9]+$/ {
    # The version changes with every release; the interface need not.
    if ($2 !~ /^SLOTWISE_VERSION/) printf "    printf(\"%s %%\" PRIu64 \"\\n\", (uint64_t)%s);\n", $2, $2
}
$1 == "typedef" && $2 != "struct" {
    type = $NF; sub(/;/, "", type)
    printf "    printf(\"%s size %%zu\\n\", sizeof(%s));\n", type, type
}
$1 == "typedef" && $2 == "struct" {
    type = $3
    printf "    printf(\"%s size %%zu\\n\", sizeof(%s));\n", type, type
}
/^}/ { type = "" }
type != "" && /^    [a-z].*;$/ {
    field = $NF; sub(/;/, "", field); sub(/\[.*/, "", field); sub(/^\*+/, "", field)
    printf "    printf(\"%s.%s at %%zu, %%zu bytes\\n\", offsetof(%s, %s), sizeof(((%s *)0)->%s));\n", \
        type, field, type, field, type, field
}
END { print "    return 0;\n}" }
