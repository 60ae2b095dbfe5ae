package weirpolicy

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
)

var decisions = []struct {
	made     *Decision
	expected string
}{
	{nil, "action: ACTION_RELAY"},
	{Relay().For(ForTransaction), "action: ACTION_RELAY scope: SCOPE_TRANSACTION"},
	{Reject(554, "5.7.0", "a\nb").For(ForSession), `action: ACTION_REJECT scope: SCOPE_SESSION
		reply { code: 554 enhanced: "5.7.0" lines: "a" lines: "b" }`},
	{Reject(550, "5.7.1", ""), `action: ACTION_REJECT reply { code: 550 enhanced: "5.7.1" }`},
	{Tempfail(451, "4.7.1", "later"),
		`action: ACTION_TEMPFAIL reply { code: 451 enhanced: "4.7.1" lines: "later" }`},
	{Discard(), "action: ACTION_DISCARD"},
	{Disconnect("bye"),
		`action: ACTION_DISCONNECT reply { code: 421 enhanced: "4.7.0" lines: "bye" }`},
	{Relay().AddHeader("X-A", "v").InsertHeader(0, "X-B", "w\r\n x").
		ChangeHeader("X-C", 2, "y").DeleteHeader("X-D", 1), `action: ACTION_RELAY
		headers { op: OP_ADD name: "X-A" value: "v" }
		headers { op: OP_INSERT name: "X-B" value: "w\r\n x" }
		headers { op: OP_CHANGE name: "X-C" value: "y" index: 2 }
		headers { op: OP_DELETE name: "X-D" index: 1 }`},
	{Relay().Through(&Outbound{SourcePool: "clean", Tls: TlsLevel_TLS_LEVEL_ENCRYPT}),
		`action: ACTION_RELAY outbound { source_pool: "clean" tls: TLS_LEVEL_ENCRYPT }`},
	{Relay().RewriteTo(""), "action: ACTION_RELAY rewrite_set: true"},
	{Relay().RewriteTo("caf\xe9@b"), `action: ACTION_RELAY rewrite: "caf\351@b" rewrite_set: true`},
	{Relay().Splice(3, 2, []byte("x")).Splice(5, 0, nil).Delay(1500 * time.Millisecond),
		`action: ACTION_RELAY delay_ms: 1500
		body { offset: 3 remove: 2 insert: "x" } body { offset: 5 }`},
	{Relay().Because("r\xe9", "é\x00").Scored(2.5).Note("k", "v"), `action: ACTION_RELAY
		rule: "r\\xe9" reason: "\\u00e9\\x00" score: 2.5 annotations { key: "k" value: "v" }`},
}

var invalid = []*Decision{
	{}, Reject(450, "", ""), Tempfail(550, "", ""), Reject(550, "4.1.1", ""),
	Reject(550, "5.1", ""), Reject(550, "", "a\rb"), Reject(550, "", strings.Repeat("x", 511)),
	Reject(550, "", strings.Repeat("x\n", 33)), Relay().AddHeader("", "x"),
	Relay().AddHeader("X:", "x"), Relay().AddHeader("X", "a\r\nb"), Relay().AddHeader("X", "a\nb"),
	Relay().AddHeader("X", "a\x00"), Relay().AddHeader("X", "a\r\n"),
	Relay().Splice(0, 0, []byte("a\nb")), Relay().Splice(5, 1, nil).Splice(5, 1, nil),
	Relay().RewriteTo("a>b"), Relay().Through(&Outbound{SourceAddress: "a", SourcePool: "b"}),
	{Action: Action_ACTION_RELAY, Reply: &SmtpReply{Code: 250}},
	{Action: Action_ACTION_RELAY, Headers: []*HeaderEdit{{Name: []byte("X")}}},
	{Action: Action_ACTION_RELAY, Rule: "no UTF-8: \xff"},
}

func TestDecisions(t *testing.T) {
	next := make(chan *Decision, 1)
	s := serve(t, &Policy{Rcpt: func(context.Context, *Session, *Rcpt) (*Decision, error) {
		return <-next, nil
	}})
	w := s.connect()
	for i, d := range decisions {
		next <- d.made
		expected := new(Decision)
		if err := prototext.Unmarshal([]byte(d.expected), expected); err != nil {
			t.Fatal(err)
		}
		if got := w.ask(1, uint32(i+1), rcpt("a@b")); !proto.Equal(got, expected) {
			t.Errorf("%v, not %v", got, expected)
		}
	}
	for i, d := range invalid {
		next <- d
		got := w.ask(2, uint32(i+1), rcpt("a@b"))
		if got.Action != 0 || !strings.Contains(got.Reason, "handler for RCPT failed") {
			t.Errorf("%v became %v", d, got)
		}
	}
	s.logged("session 2: the handler for RCPT failed: the action is missing or unknown;" +
		" weir's on_error decides")
}

func TestErrorAndPanicAreNoVerdict(t *testing.T) {
	s := serve(t, &Policy{
		Mail: func(context.Context, *Session, *Mail) (*Decision, error) {
			return Relay(), errors.New("the database is away")
		},
		Rcpt: func(_ context.Context, s *Session, _ *Rcpt) (*Decision, error) {
			return nil, errors.New(s.Transaction.Message.Headers.Get("nil"))
		},
		TransactionEnd: func(context.Context, *Session, *TransactionEnd) { panic("at the end") },
	})
	w := s.connect()
	d := w.ask(1, 1, mail("a@b"))
	equal(t, "action", d.Action, Action_ACTION_UNSPECIFIED)
	equal(t, "reason", d.Reason, "the policy's handler for MAIL failed: the database is away")
	d = w.ask(1, 2, rcpt("c@d"))
	equal(t, "action", d.Action, Action_ACTION_UNSPECIFIED)
	s.logged("handlers_test.go") // the stack
	s.logged("the handler for RCPT failed: panic: runtime error: invalid memory address")
	w.send(1, 0, &ToPolicy_TransactionEnd{&TransactionEnd{}})
	s.logged("the handler for TRANSACTION_END failed: panic: at the end\n")
	equal(t, "unasked", w.ask(1, 3, &ToPolicy_Data{&Data{}}).Action, Action_ACTION_UNSPECIFIED)
}

func TestFacts(t *testing.T) {
	type facts struct {
		Session
		event *EndOfMessage
	}
	seen := make(chan facts, 1)
	s := serve(t, &Policy{BodyLimit: 7, EndOfMessage: func(_ context.Context, s *Session,
		e *EndOfMessage) (*Decision, error) {
		s.State = "kept"
		seen <- facts{*s, e}
		return nil, nil
	}})
	w := s.connect()
	w.send(1, 0, &ToPolicy_Connect{&Connect{ConnectionId: "01S", Listener: "out",
		Client: &Endpoint{Address: "192.0.2.9", Port: 4711}}})
	w.send(1, 0, &ToPolicy_Upstream{&Upstream{ConnectUs: 7}})
	w.send(1, 0, &ToPolicy_Tls{&Tls{Leg: Leg_LEG_CLIENT, Version: "TLS1.3"}})
	w.send(1, 0, &ToPolicy_Ehlo{&Ehlo{Verb: []byte("EHLO"), Name: []byte("h.example")}})
	w.send(1, 0, &ToPolicy_Auth{&Auth{Mechanism: "PLAIN", Identity: []byte("joe")}})
	w.send(1, 0, mail("caf\xe9@b.example"))
	w.send(1, 0, rcpt("c@d"))
	w.send(1, 0, rcpt("e@f"))
	w.send(1, 0, &ToPolicy_Data{&Data{Accepted: []uint32{1}}})
	w.send(1, 0, headers("Subject : one\r\n\ttwo \r\nTo: x\r\nto: y\r\n\r\n", 1))
	w.send(1, 0, &ToPolicy_Body{&Body{Message: 1, Data: []byte("Hello")}})
	w.send(1, 0, &ToPolicy_Body{&Body{Message: 1, Offset: 5, Data: []byte("World")}})
	w.ask(1, 1, &ToPolicy_EndOfMessage{&EndOfMessage{Size: 50}})
	f := <-seen
	m := f.Transaction.Message
	equal(t, "policy", f.Weir.Policy, "p")
	equal(t, "client", f.ClientAddress(), "192.0.2.9")
	equal(t, "upstream", f.Upstream.ConnectUs, 7)
	equal(t, "tls", f.ClientTLS.Version, "TLS1.3")
	equal(t, "upstream's tls", f.UpstreamTLS == nil, true)
	equal(t, "ehlo", string(f.Ehlo.Name), "h.example")
	equal(t, "auth", string(f.Auth.Identity), "joe")
	equal(t, "sender", f.Sender(), "caf\xe9@b.example")
	equal(t, "recipient", string(f.Transaction.Recipients[1].Recipient), "e@f")
	equal(t, "accepted", f.Transaction.Accepted, "[1]")
	equal(t, "subject", m.Headers.Get("subject"), "one\ttwo")
	equal(t, "missing", m.Headers.Get("from"), "")
	equal(t, "to", m.Headers.All("TO")[1].Value, "y")
	equal(t, "raw", string(m.Headers.Items()[1].Raw), "To: x\r\n")
	equal(t, "body", string(m.Body), "HelloWo")
	equal(t, "truncated", m.Truncated, true)
	equal(t, "size", m.Size, f.event.Size)
	w.send(1, 0, &ToPolicy_TransactionEnd{&TransactionEnd{}})
	w.ask(1, 2, &ToPolicy_EndOfMessage{&EndOfMessage{}})
	f = <-seen
	equal(t, "the next transaction", f.Transaction == nil, true)
	equal(t, "state", f.State, "kept")
}

func phases(list []*Subscription) string {
	var words []string
	for _, s := range list {
		word := phaseName(s.Phase)
		if !s.Decide {
			word = strings.ToLower(word)
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

func TestSubscriptions(t *testing.T) {
	rcpt := func(context.Context, *Session, *Rcpt) (*Decision, error) { return nil, nil }
	end := func(context.Context, *Session, *EndOfMessage) (*Decision, error) { return nil, nil }
	before := "connect upstream tls ehlo auth mail "
	after := " transaction_end session_end"
	for _, c := range []struct {
		policy   *Policy
		offered  []Phase
		expected string
	}{
		{&Policy{}, nil, "transaction_end session_end"},
		{&Policy{Rcpt: rcpt}, nil, before + "RCPT" + after},
		{&Policy{Rcpt: rcpt, NoContext: true}, nil, "RCPT" + after},
		{&Policy{Rcpt: rcpt, NotifyOnly: []Phase{PhaseRcpt}}, nil, before + "rcpt" + after},
		{&Policy{EndOfMessage: end, BodyLimit: -1}, nil,
			before + "rcpt data headers END_OF_MESSAGE" + after},
		{&Policy{EndOfMessage: end}, nil, before + "rcpt data headers body END_OF_MESSAGE" + after},
		{&Policy{EndOfMessage: end}, []Phase{PhaseRcpt, PhaseMail}, "mail rcpt"},
		{&Policy{TransactionEnd: func(context.Context, *Session, *TransactionEnd) {}}, nil,
			before + "rcpt data" + after},
		{&Policy{EndOfMessage: end, SessionEnd: func(context.Context, *Session, *SessionEnd) {}}, nil,
			before + "rcpt data headers body END_OF_MESSAGE" + after},
	} {
		equal(t, "phases", phases(c.policy.subscriptions(c.offered)), c.expected)
	}
	prefix := (&Policy{EndOfMessage: end, BodyLimit: 9}).subscriptions([]Phase{Phase_PHASE_BODY})
	equal(t, "body_prefix", prefix[0].BodyPrefix, 9)
}

func TestGeneratedCodeIsUpToDate(t *testing.T) {
	directory := t.TempDir()
	committed, err := os.ReadFile("policy.pb.go")
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("protoc", "--proto_path=../../../proto", "--go_out="+directory,
		"--go_opt=paths=source_relative,Mpolicy.proto=./;weirpolicy", "policy.proto").CombinedOutput()
	if err != nil {
		t.Skipf("protoc: %v %s", err, out)
	}
	made, err := os.ReadFile(filepath.Join(directory, "policy.pb.go"))
	if err != nil {
		t.Fatal(err)
	}
	versions := func(code []byte) string {
		_, rest, _ := strings.Cut(string(code), "// versions:\n")
		found, _, _ := strings.Cut(rest, "// source:")
		return found
	}
	if mine, here := versions(committed), versions(made); mine != here {
		t.Skipf("policy.pb.go is of\n%s, and here are\n%s", mine, here)
	}
	if string(made) != string(committed) {
		t.Error("policy.pb.go is not of this proto/policy.proto: run go generate")
	}
}
