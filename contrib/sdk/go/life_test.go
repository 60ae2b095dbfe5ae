package weirpolicy

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"io"
	"log"
	"math/big"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
)

// slow answers an RCPT when the channel says so, with the order of answers.
func slow(release <-chan struct{}) *Policy {
	return &Policy{Rcpt: func(ctx context.Context, s *Session, e *Rcpt) (*Decision, error) {
		if string(e.Recipient) == "slow" {
			select {
			case <-release:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		return Relay().Because(string(e.Recipient), ""), nil
	}}
}

func TestOrderWithinAndIndependenceOfSessions(t *testing.T) {
	release := make(chan struct{})
	w := serve(t, slow(release)).connect()
	w.send(1, 1, rcpt("slow"))
	w.send(1, 2, rcpt("after"))
	for seq := uint32(1); seq <= 100; seq++ {
		w.ask(2, seq, rcpt("other")) // does not wait for session 1
	}
	w.silent()
	close(release)
	equal(t, "first", w.decision(1, 1).Rule, "slow")
	equal(t, "second", w.decision(1, 2).Rule, "after")
}

func TestManySessions(t *testing.T) {
	w := serve(t, slow(nil)).connect()
	const sessions = 2000
	go func() {
		for id := uint64(1); id <= sessions; id++ {
			w.send(id, 0, mail("a@b"))
			w.send(id, 1, rcpt("x"))
			w.send(id, 0, &ToPolicy_SessionEnd{&SessionEnd{}})
		}
	}()
	answered := map[uint64]bool{}
	for len(answered) < sessions {
		m := w.receive()
		if m.GetDecision().GetRule() != "x" || answered[m.Session] {
			t.Fatal(m)
		}
		answered[m.Session] = true
	}
}

func TestCancelAndDeadlineEndTheHandler(t *testing.T) {
	s := serve(t, slow(nil))
	w := s.connect()
	w.send(1, 1, rcpt("slow"))
	w.send(1, 2, rcpt("slow")) // cancelled before its turn
	w.send(1, 0, &ToPolicy_Cancel{&Cancel{Seq: 2}})
	w.send(1, 0, &ToPolicy_Cancel{&Cancel{Seq: 1}})
	w.send(9, 0, &ToPolicy_Cancel{&Cancel{Seq: 1}})
	equal(t, "next", w.ask(1, 3, rcpt("next")).Rule, "next")
	w.sendDeadline(1, 4, 30, rcpt("slow"))
	equal(t, "next", w.ask(1, 5, rcpt("next")).Rule, "next")
	s.logged("session 1: no answer at RCPT before the deadline")
}

func TestWorkingAnnotateTimeLeft(t *testing.T) {
	s := serve(t, &Policy{Rcpt: func(ctx context.Context, s *Session, _ *Rcpt) (*Decision, error) {
		before, _ := s.TimeLeft()
		s.Working(time.Minute)
		after, _ := s.TimeLeft()
		s.Annotate(map[string]string{"k": "é"})
		select {
		case <-ctx.Done():
		case <-time.After(600 * time.Millisecond):
		}
		if before > 300*time.Millisecond || after < 59*time.Second {
			return Disconnect(before.String() + after.String()), nil
		}
		return nil, ctx.Err()
	}})
	w := s.connect()
	w.sendDeadline(1, 7, 300, rcpt("x"))
	m := w.receive()
	equal(t, "working", m.GetWorking().GetExtraMs(), 60000)
	equal(t, "its seq", m.Seq, 7)
	equal(t, "annotation", w.receive().GetAnnotate().GetAnnotations()["k"], `\u00e9`)
	equal(t, "action", w.decision(1, 7).Action, Action_ACTION_RELAY)
	// in a test of a handler there is no weir
	alone := &Session{}
	alone.Working(time.Second)
	alone.Annotate(nil)
	_, waits := alone.TimeLeft()
	equal(t, "waits", waits, false)
}

func TestCreditFollowsTheHandler(t *testing.T) {
	release := make(chan struct{})
	w := serve(t, &Policy{BodyWindow: 1000, Body: func(context.Context, *Session, *Body) (*Decision,
		error) {
		<-release
		return nil, nil
	}}).connect()
	equal(t, "body_credit", w.welcome.BodyCredit, 1000)
	w.send(1, 0, mail("a@b"))
	for message := uint32(1); message <= 2; message++ {
		w.send(1, 0, headers("A: b\r\n\r\n", message))
		for offset := uint64(0); offset < 1000; offset += 250 {
			w.send(1, 0, &ToPolicy_Body{&Body{Message: message, Offset: offset,
				Data: make([]byte, 250)}})
		}
		w.silent() // the handler is at work: no credit
		for _, expected := range []uint64{1500, 2000} {
			release <- struct{}{}
			release <- struct{}{}
			credit := w.receive().GetCredit()
			equal(t, "credit", credit.GetMaxOffset(), expected)
			equal(t, "message", credit.GetMessage(), message)
		}
	}
	w.silent()
}

// Without credit (weir may ignore it), reading stops before memory is gone.
func TestReadingStopsWhenHandlersAreTooSlow(t *testing.T) {
	release := make(chan struct{})
	w := serve(t, &Policy{Body: func(context.Context, *Session, *Body) (*Decision, error) {
		<-release
		return nil, nil
	}}).connect()
	go func() { // what Credit says is of no interest here
		for {
			if _, err := w.read(); err != nil {
				return
			}
		}
	}()
	body, err := proto.Marshal(&ToPolicy{Session: 1, Event: &ToPolicy_Body{
		&Body{Message: 1, Data: make([]byte, 1<<19)}}})
	if err != nil {
		t.Fatal(err)
	}
	frame := append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
	sent := 0
	for err == nil && sent < 2*backlogMax {
		w.SetWriteDeadline(time.Now().Add(2 * time.Second))
		_, err = w.Write(frame)
		sent += len(frame)
	}
	if sent < backlogMax || sent > backlogMax+4<<20 {
		t.Errorf("%d bytes were taken", sent)
	}
	close(release)
}

func TestPingUpdateDrain(t *testing.T) {
	p := slow(nil)
	p.Version = "1"
	s := serve(t, p)
	w := s.connect()
	equal(t, "version", w.welcome.Version, "1")
	w.send(0, 0, &ToPolicy_Ping{&Ping{Token: 1 << 63}})
	equal(t, "token", w.receive().GetPong().GetToken(), uint64(1<<63))
	other := s.connect()
	p.SetVersion("1")
	p.SetVersion("2")
	for _, w := range []*weir{w, other} {
		update := w.receive().GetUpdate()
		equal(t, "version", update.GetVersion(), "2")
		equal(t, "phases", phases(update.GetSubscriptions()), phases(w.welcome.Subscriptions))
	}
	w.send(0, 0, &ToPolicy_Drain{&Drain{}})
	s.logged("weir drains: 0 sessions are open")
	w.Write([]byte{0, 0, 0, 3, 0x82, 0x7d, 0}) // an event of a later version
	equal(t, "still there", w.ask(1, 1, rcpt("x")).Rule, "x")
}

func TestProtocolErrors(t *testing.T) {
	s := serve(t, slow(nil))
	for _, c := range []struct {
		words string
		do    func(*weir)
	}{
		{`it begins with "GET / HTTP/1.1\r\n"`, func(w *weir) {
			w.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
		}},
		{"weir/test speaks version 2 of the protocol", func(w *weir) { w.hello(2) }},
		{"ToPolicy_Mail came before its time", func(w *weir) { w.send(1, 0, mail("a@b")) }},
		{"ToPolicy_Ready came before", func(w *weir) { w.send(0, 0, &ToPolicy_Ready{&Ready{}}) }},
		{"ToPolicy_Rcpt came before", func(w *weir) {
			w.hello(1)
			w.receive()
			w.send(1, 1, rcpt("x"))
		}},
		{"MAIL without a session", func(w *weir) {
			w.handshake()
			w.send(0, 0, mail("a@b"))
		}},
		{`no message of weir: "\xff\xff\xff\xff"`, func(w *weir) {
			w.Write([]byte{0, 0, 0, 4, 255, 255, 255, 255})
		}},
		{"a frame of 65537 bytes where 65536 are allowed", func(w *weir) {
			w.Write([]byte{0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
		}},
		{"a frame of 1048577 bytes where 1048576 are allowed", func(w *weir) {
			w.handshake()
			w.Write([]byte{0, 16, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
		}},
		{"in the middle of a frame", func(w *weir) {
			w.Write([]byte{0, 0, 0, 9, 1})
			w.Conn.(*net.UnixConn).CloseWrite()
		}},
	} {
		w := s.dial()
		c.do(w)
		w.closed()
		s.logged(c.words)
	}
	equal(t, "others", s.connect().ask(1, 1, rcpt("x")).Rule, "x")
}

func TestDecisionTooLarge(t *testing.T) {
	s := serve(t, &Policy{Headers: func(context.Context, *Session, *Headers) (*Decision, error) {
		return Relay().AddHeader("X", strings.Repeat("x", 1<<20)), nil
	}})
	d := s.connect().ask(1, 1, headers("A: b\r\n\r\n", 1))
	equal(t, "action", d.Action, Action_ACTION_UNSPECIFIED)
	s.logged("the handler for HEADERS failed: an answer of 1048600 bytes, and 1048576 are allowed")
}

func TestStopAnswersWhatWasAsked(t *testing.T) {
	release := make(chan struct{})
	s := serve(t, slow(release))
	w, idle := s.connect(), s.connect()
	w.send(1, 1, rcpt("slow"))
	w.ask(2, 1, rcpt("x")) // so that one has arrived
	s.stop()
	idle.closed()
	if _, err := os.Stat(s.address.String()); !os.IsNotExist(err) {
		t.Error("the socket is still there:", err)
	}
	close(release)
	equal(t, "answer", w.decision(1, 1).Rule, "slow")
	w.closed()
	s.ended()
}

func TestStopDoesNotWaitForEver(t *testing.T) {
	p := &Policy{StopTimeout: 100 * time.Millisecond}
	p.Rcpt = func(_ context.Context, _ *Session, e *Rcpt) (*Decision, error) {
		for string(e.Recipient) == "slow" { // and it heeds no ctx
			time.Sleep(time.Second)
		}
		return nil, nil
	}
	s := serve(t, p)
	w := s.connect()
	w.send(1, 1, rcpt("slow"))
	w.ask(2, 1, rcpt("x")) // so that one has arrived
	s.stop()
	w.closed()
	s.ended()
}

func TestLostConnectionEndsItsSessions(t *testing.T) {
	ends := make(chan string, 10)
	p := slow(nil)
	p.SessionEnd = func(ctx context.Context, s *Session, e *SessionEnd) {
		if ctx.Err() == nil {
			ends <- s.ClientAddress() + " " + e.Cause
		}
	}
	s := serve(t, p)
	w := s.connect()
	for id, address := range map[uint64]string{1: "a", 2: "b", 3: "c"} {
		w.send(id, 0, &ToPolicy_Connect{&Connect{Client: &Endpoint{Address: address}}})
	}
	w.send(1, 1, rcpt("slow"))
	w.send(2, 0, &ToPolicy_SessionEnd{&SessionEnd{Cause: "quit"}})
	w.Close()
	got := map[string]bool{<-ends: true, <-ends: true, <-ends: true}
	for _, end := range []string{"a policy connection lost", "b quit", "c policy connection lost"} {
		equal(t, end, got[end], true)
	}
	again := s.connect() // the same numbers are new sessions there
	again.send(1, 0, &ToPolicy_SessionEnd{&SessionEnd{Cause: "quit"}})
	equal(t, "a new session", <-ends, " quit")
}

func TestEndpoints(t *testing.T) {
	s := serve(t, slow(nil))
	path := strings.TrimPrefix(s.endpoint, "unix:")
	file := path + "-file"
	os.WriteFile(file, nil, 0o600)
	for endpoint, words := range map[string]string{
		s.endpoint: "another server listens there", "unix:" + file: "no socket",
		"tls:127.0.0.1:0": "certificate", "http://x": "no endpoint", "": "no endpoint",
	} {
		_, err := (&Policy{}).Listen(endpoint)
		if err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%q: %v", endpoint, err)
		}
	}
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path + "-dead", Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close()
	l, err := (&Policy{Log: log.New(io.Discard, "", 0)}).Listen("unix:" + path + "-dead")
	if err != nil {
		t.Fatal(err)
	}
	os.Remove(path + "-dead")
	os.WriteFile(path+"-dead", nil, 0o600) // somebody else's now
	l.Close()
	if _, err := os.Stat(path + "-dead"); err != nil {
		t.Error(err)
	}
}

func TestTLS(t *testing.T) {
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour),
		Subject: pkix.Name{CommonName: "policy"}, DNSNames: []string{"policy"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	p := slow(nil)
	p.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS13,
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	s := serve(t, p)
	l, err := p.Listen("tls:127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go p.Serve(ctx, l)
	connection, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	w := &weir{Conn: connection, t: t}
	w.handshake()
	equal(t, "answer", w.ask(1, 1, rcpt("x")).Rule, "x")
	s.logged("listening on tls:127.0.0.1:")
}
