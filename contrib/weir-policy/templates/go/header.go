// @NAME@: mark each message with a header field, X-@NAME@.
//
// weir.conf must grant it "headers".
package main

import (
	"context"

	weir "weirpolicy"
)

const field = "X-@NAME@"

func mark(_ context.Context, s *weir.Session, _ *weir.@Phase@) (*weir.Decision, error) {
	decision := weir.Relay()
	for i := range s.Transaction.Message.Headers.All(field) {
		decision.DeleteHeader(field, uint32(i)) // none but ours
	}
	return decision.AddHeader(field, "from "+s.ClientAddress()), nil
}

func main() {
	weir.Main(&weir.Policy{Software: "@NAME@/1.0", @Phase@: mark})
}
