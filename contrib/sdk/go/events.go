package weirpolicy

import (
	"bytes"
	"context"
	"errors"
	"strings"

	"google.golang.org/protobuf/proto"
)

// eventOf takes an event of a session out of its message; nil if it is none.
func eventOf(m *ToPolicy) (Phase, proto.Message) {
	switch e := m.Event.(type) {
	case *ToPolicy_Connect:
		return Phase_PHASE_CONNECT, e.Connect
	case *ToPolicy_Upstream:
		return Phase_PHASE_UPSTREAM, e.Upstream
	case *ToPolicy_Tls:
		return Phase_PHASE_TLS, e.Tls
	case *ToPolicy_Ehlo:
		return Phase_PHASE_EHLO, e.Ehlo
	case *ToPolicy_Auth:
		return Phase_PHASE_AUTH, e.Auth
	case *ToPolicy_Command:
		return Phase_PHASE_COMMAND, e.Command
	case *ToPolicy_Mail:
		return Phase_PHASE_MAIL, e.Mail
	case *ToPolicy_Rcpt:
		return Phase_PHASE_RCPT, e.Rcpt
	case *ToPolicy_Data:
		return Phase_PHASE_DATA, e.Data
	case *ToPolicy_Headers:
		return Phase_PHASE_HEADERS, e.Headers
	case *ToPolicy_Body:
		return Phase_PHASE_BODY, e.Body
	case *ToPolicy_EndOfMessage:
		return Phase_PHASE_END_OF_MESSAGE, e.EndOfMessage
	case *ToPolicy_Reply:
		return Phase_PHASE_REPLY, e.Reply
	case *ToPolicy_TransactionEnd:
		return Phase_PHASE_TRANSACTION_END, e.TransactionEnd
	case *ToPolicy_SessionEnd:
		return Phase_PHASE_SESSION_END, e.SessionEnd
	}
	return 0, nil
}

// call calls the event's handler.
func (p *Policy) call(ctx context.Context, s *Session, event proto.Message) (*Decision, error) {
	switch e := event.(type) {
	case *Connect:
		return ask(p.Connect, ctx, s, e)
	case *Upstream:
		return tell(p.Upstream, ctx, s, e)
	case *Tls:
		return tell(p.TLS, ctx, s, e)
	case *Ehlo:
		return ask(p.Ehlo, ctx, s, e)
	case *Auth:
		return ask(p.Auth, ctx, s, e)
	case *Command:
		return ask(p.Command, ctx, s, e)
	case *Mail:
		return ask(p.Mail, ctx, s, e)
	case *Rcpt:
		return ask(p.Rcpt, ctx, s, e)
	case *Data:
		return ask(p.Data, ctx, s, e)
	case *Headers:
		return ask(p.Headers, ctx, s, e)
	case *Body:
		return ask(p.Body, ctx, s, e)
	case *EndOfMessage:
		return ask(p.EndOfMessage, ctx, s, e)
	case *Reply:
		return tell(p.Reply, ctx, s, e)
	case *TransactionEnd:
		return tell(p.TransactionEnd, ctx, s, e)
	case *SessionEnd:
		return tell(p.SessionEnd, ctx, s, e)
	}
	return nil, errNoHandler
}

var errNoHandler = errors.New("there is no handler for this phase")

func ask[E any](h Handler[E], ctx context.Context, s *Session, event E) (*Decision, error) {
	if h == nil {
		return nil, errNoHandler
	}
	return h(ctx, s, event)
}

func tell[E any](h Listener[E], ctx context.Context, s *Session, event E) (*Decision, error) {
	if h == nil {
		return nil, errNoHandler
	}
	h(ctx, s, event)
	return nil, nil
}

// A HeaderField is one field of a header section.
type HeaderField struct {
	Name  string
	Value string // unfolded, without the white space around it
	Raw   []byte // with its line end
}

// Items lists the fields in order. InsertHeader counts by it.
func (h *Headers) Items() []HeaderField {
	items := make([]HeaderField, 0, len(h.GetFields()))
	for _, f := range h.GetFields() {
		end := uint64(f.Offset) + uint64(f.Length)
		if end > uint64(len(h.Raw)) || f.NameLength > f.Length {
			break // never from weir
		}
		raw := h.Raw[f.Offset:end]
		name, value := raw[:f.NameLength], raw[f.NameLength:]
		value = value[bytes.IndexByte(value, ':')+1:]
		text := strings.NewReplacer("\r\n", "", "\n", "").Replace(string(value))
		items = append(items, HeaderField{string(name), strings.Trim(text, " \t\r"), raw})
	}
	return items
}

// All lists the fields of one name, whatever its case. ChangeHeader and
// DeleteHeader count by it.
func (h *Headers) All(name string) []HeaderField {
	var found []HeaderField
	for _, item := range h.Items() {
		if strings.EqualFold(item.Name, name) {
			found = append(found, item)
		}
	}
	return found
}

// Get is the value of the first field of that name; "" without one.
func (h *Headers) Get(name string) string {
	if found := h.All(name); len(found) > 0 {
		return found[0].Value
	}
	return ""
}
