# Takes out of a file of the page what only its authors read: indents, comments
# (on lines of their own, or at the end of one), and in scripts and style
# sheets the spaces around operators and most ends of lines.
# It knows this page's style and no other: strings in single quotes, none over
# two lines, no unary plus.

function code(s,    i)
{
	if (kind == "css") {
		gsub(/ *[{] */, "{", s)
		gsub(/: /, ":", s)
		gsub(/; /, ";", s)
		gsub(/, /, ",", s)
		gsub(/ > /, ">", s)
		gsub(/;[}]/, "}", s)
		return s
	}
	for (i = 1; i <= n_operators; i++)
		gsub((" " operators[i] " "), literal[i], s)
	gsub(/, /, ",", s)
	gsub(/: /, ":", s)
	gsub(/; /, ";", s)
	gsub(/[{] /, "{", s)
	gsub(/ [}] /, "}", s)
	gsub(/ [}]/, "}", s)
	gsub(/ \(/, "(", s)
	gsub(/\) /, ")", s)
	gsub(/return [{]/, "return{", s)
	gsub(/import [{]/, "import{", s)
	sub(/[}]from $/, "}from", s)
	sub(/return $/, "return", s)
	return s
}

function tight(line,    out)
{
	while (match(line, /'[^']*'|`[^`]*`/)) {
		out = out code(substr(line, 1, RSTART - 1)) \
		    substr(line, RSTART, RLENGTH)
		line = substr(line, RSTART + RLENGTH)
	}
	return out code(line)
}

BEGIN {
	n_operators = split("= => === !== >= <= < > && [|][|] [?][?] [?] : " \
	    "[+] [*] [+]= - [/]", operators)
	split("= => === !== >= <= < > \\&\\& || ?? ? : + * += - /", literal)
}

FNR == 1 { kind = FILENAME; sub(/.*\./, "", kind) }

{ sub(/^[ \t]+/, ""); sub(/[ \t]+\/\*.*\*\/$/, "") }
comment || /^\/\*/ { comment = !/\*\/$/; next }
$0 == "" { next }
kind == "html" { print; next }
{
	line = tight($0)
	if (line ~ /^[}\]]/)	# what ends needs no separator before it
		sub(/[;,]$/, "", held)
	if (held ~ /'\+$/ && line ~ /^'/)	# one string of two
		held = substr(held, 1, length(held) - 2) substr(line, 2)
	else if (held ~ /[-,({[?:=+*|&<>;]$/ || line ~ /^[}\]]/ ||
	    (kind == "css" && held ~ /[}]$/))
		held = held line
	else {
		if (held != "")
			print held
		held = line
	}
}

END { if (held != "") print held }
