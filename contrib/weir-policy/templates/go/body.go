// @NAME@: refuse messages with a phrase of the file "phrases" of the directory
// where it is started, one a line, in whatever case, in the body as it is sent.
package main

import (
	"bytes"
	"context"
	"log"
	"os"

	weir "weirpolicy"
)

func phrases(path string) (found [][]byte) {
	data, err := os.ReadFile(path)
	if err != nil {
		log.Fatal(err)
	}
	for _, line := range bytes.Split(data, []byte("\n")) {
		line, _, _ = bytes.Cut(line, []byte("#"))
		if line = bytes.ToLower(bytes.TrimSpace(line)); len(line) > 0 {
			found = append(found, line)
		}
	}
	return found
}

func main() {
	listed := phrases("phrases")
	refuse := func(_ context.Context, s *weir.Session, _ *weir.@Phase@) (*weir.Decision, error) {
		text := bytes.ToLower(s.Transaction.Message.Body)
		for _, phrase := range listed {
			if bytes.Contains(text, phrase) {
				return weir.Reject(550, "5.7.1", "Not with these words").
					Because(string(phrase), ""), nil
			}
		}
		return nil, nil
	}
	weir.Main(&weir.Policy{Software: "@NAME@/1.0", BodyLimit: 1000000, @Phase@: refuse})
}
