package weirpolicy

import (
	"time"

	"google.golang.org/protobuf/proto"
)

// A Session is what weir has told so far about one SMTP session. Its handlers
// run one after the other, so they may use it, and State, without a lock.
type Session struct {
	Weir        *Hello   // what weir says of itself: policy, mode, grants, pools
	Connect     *Connect // nil, as the following, until it is known
	Upstream    *Upstream
	ClientTLS   *Tls
	UpstreamTLS *Tls
	Ehlo        *Ehlo
	Auth        *Auth
	Transaction *Transaction // the present one
	State       any          // the policy's own

	runner    *runner
	bodyLimit int
}

// A Transaction is the envelope, from MAIL on.
type Transaction struct {
	ID         string
	Sender     string // "" for <>
	Mail       *Mail
	Recipients []*Rcpt  // every one that was shown
	Accepted   []uint32 // indexes of those that stand, known at DATA
	Message    *Message // nil before HEADERS
}

// A Message is the content, as far as it was shown.
type Message struct {
	Headers   *Headers
	Body      []byte // kept if EndOfMessage has a handler
	Size      uint64 // of all of it, known at END_OF_MESSAGE
	Truncated bool   // longer than BodyLimit, or than weir's body_prefix
	Gaps      []*Gap // what weir had no credit to send to an observer
}

// ClientAddress is the client's IP address; "" while it is not known.
func (s *Session) ClientAddress() string {
	return s.Connect.GetClient().GetAddress()
}

// Sender is the present transaction's; "" for <>, and without one.
func (s *Session) Sender() string {
	if s.Transaction == nil {
		return ""
	}
	return s.Transaction.Sender
}

// Working tells weir that the answer to the present question takes so much
// longer, counted from now.
func (s *Session) Working(d time.Duration) {
	if s.runner != nil {
		s.runner.extend(d)
	}
}

// TimeLeft is how long weir still waits for the present question; false if it
// does not wait.
func (s *Session) TimeLeft() (time.Duration, bool) {
	if s.runner == nil {
		return 0, false
	}
	return s.runner.timeLeft()
}

// Annotate adds facts to weir's record of this session.
func (s *Session) Annotate(facts map[string]string) {
	if s.runner == nil {
		return
	}
	plain := make(map[string]string, len(facts))
	for key, value := range facts {
		plain[word(key)] = word(value)
	}
	if err := s.runner.conn.send(&FromPolicy{Session: s.runner.id,
		Answer: &FromPolicy_Annotate{Annotate: &Annotate{Annotations: plain}}}); err != nil {
		s.runner.conn.policy.logf("session %d: annotations dropped: %v", s.runner.id, err)
	}
}

// learn takes in an event, before its handler sees it.
func (s *Session) learn(event proto.Message) {
	switch e := event.(type) {
	case *Connect:
		s.Connect = e
	case *Upstream:
		s.Upstream = e
	case *Tls:
		if e.Leg == Leg_LEG_CLIENT {
			s.ClientTLS = e
		} else {
			s.UpstreamTLS = e
		}
	case *Ehlo:
		s.Ehlo = e
	case *Auth:
		s.Auth = e
	case *Mail:
		s.Transaction = &Transaction{ID: e.TransactionId, Sender: string(e.Sender), Mail: e}
	default:
		if s.Transaction != nil {
			s.Transaction.learn(event, s.bodyLimit)
		}
	}
}

func (t *Transaction) learn(event proto.Message, bodyLimit int) {
	switch e := event.(type) {
	case *Rcpt:
		t.Recipients = append(t.Recipients, e)
	case *Data:
		t.Accepted = e.Accepted
	case *Headers:
		t.Message = &Message{Headers: e}
	}
	if t.Message == nil {
		return
	}
	switch e := event.(type) {
	case *Body:
		data := e.Data
		if room := bodyLimit - len(t.Message.Body); len(data) > room {
			data, t.Message.Truncated = data[:room], true
		}
		t.Message.Body = append(t.Message.Body, data...)
	case *EndOfMessage:
		t.Message.Size, t.Message.Gaps = e.Size, e.Gaps
		t.Message.Truncated = t.Message.Truncated || e.Truncated
	}
}

// forget lets go of what ended with an event, after its handler saw it.
func (s *Session) forget(event proto.Message) {
	if _, ended := event.(*TransactionEnd); ended {
		s.Transaction = nil
	}
}
