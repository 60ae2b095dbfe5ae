// @NAME@: refuse whoever is in the file "blocked" of the directory where it
// is started. One entry a line: @ENTRY@; "#" begins a comment.
package main

import (
	"context"
	"log"
	"os"
	"strings"

	weir "weirpolicy"
)

func entries(path string) map[string]bool {
	data, err := os.ReadFile(path)
	if err != nil {
		log.Fatal(err)
	}
	found := map[string]bool{}
	for _, line := range strings.Split(string(data), "\n") {
		line, _, _ = strings.Cut(line, "#")
		if line = strings.ToLower(strings.TrimSpace(line)); line != "" {
			found[line] = true
		}
	}
	return found
}

func main() {
	blocked := entries("blocked")
	refuse := func(_ context.Context, s *weir.Session, e *weir.@Phase@) (*weir.Decision, error) {
		who := strings.ToLower(@KEY@)
		for _, entry := range []string{who, "@" + who[strings.LastIndex(who, "@")+1:]} {
			if blocked[entry] {
				return weir.Reject(550, "5.7.1", "Blocked").Because(entry, ""), nil
			}
		}
		return nil, nil
	}
	weir.Main(&weir.Policy{Software: "@NAME@/1.0", @Phase@: refuse})
}
