package weirpolicy

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
)

const patience = 10 * time.Second // only a failing test waits so long

// A served policy, with its log.
type served struct {
	t        *testing.T
	endpoint string
	address  net.Addr
	stop     context.CancelFunc
	done     chan error

	mu  sync.Mutex
	log bytes.Buffer
}

func (s *served) Write(data []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.Write(data)
}

func (s *served) logged(words string) {
	s.t.Helper()
	for until := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		s.mu.Lock()
		text := s.log.String()
		s.mu.Unlock()
		if strings.Contains(text, words) {
			return
		}
		if time.Now().After(until) {
			s.t.Fatalf("no %q in the log:\n%s", words, text)
		}
	}
}

func serve(t *testing.T, p *Policy) *served {
	t.Helper()
	directory, err := os.MkdirTemp("", "weirpolicy") // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	s := &served{t: t, endpoint: "unix:" + directory + "/s", done: make(chan error, 1)}
	p.Log = log.New(s, "", 0)
	l, err := p.Listen(s.endpoint)
	if err != nil {
		t.Fatal(err)
	}
	s.address = l.Addr()
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = cancel
	go func() { s.done <- p.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		os.RemoveAll(directory)
	})
	return s
}

func (s *served) ended() {
	s.t.Helper()
	select {
	case err := <-s.done:
		if err != nil {
			s.t.Fatal(err)
		}
	case <-time.After(patience):
		s.t.Fatal("the server does not stop")
	}
}

// weir's side of one connection.
type weir struct {
	net.Conn
	t       *testing.T
	welcome *Welcome
}

func (s *served) dial() *weir {
	s.t.Helper()
	connection, err := net.Dial(s.address.Network(), s.address.String())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { connection.Close() })
	return &weir{Conn: connection, t: s.t}
}

func (s *served) connect() *weir {
	s.t.Helper()
	w := s.dial()
	w.handshake()
	return w
}

func (w *weir) handshake() {
	w.t.Helper()
	w.hello(1)
	w.welcome = w.receive().GetWelcome()
	w.send(0, 0, &ToPolicy_Ready{&Ready{Subscriptions: w.welcome.Subscriptions}})
}

func (w *weir) hello(major uint32) {
	w.send(0, 0, &ToPolicy_Hello{&Hello{Major: major, Software: "weir/test", Policy: "p",
		MaxFrame: 1 << 20}})
}

func (w *weir) send(session uint64, seq uint32, event isToPolicy_Event) {
	w.t.Helper()
	w.sendDeadline(session, seq, 5000, event)
}

func (w *weir) sendDeadline(session uint64, seq, ms uint32, event isToPolicy_Event) {
	w.t.Helper()
	m := &ToPolicy{Session: session, Seq: seq, Event: event}
	if seq != 0 {
		m.DeadlineMs = ms
	}
	data, err := proto.Marshal(m)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(data))),
		data...)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *weir) read() (*FromPolicy, error) {
	w.SetReadDeadline(time.Now().Add(patience))
	head := make([]byte, 4)
	if _, err := io.ReadFull(w, head); err != nil {
		return nil, err
	}
	data := make([]byte, binary.BigEndian.Uint32(head))
	if _, err := io.ReadFull(w, data); err != nil {
		return nil, err
	}
	m := new(FromPolicy)
	return m, proto.Unmarshal(data, m)
}

func (w *weir) receive() *FromPolicy {
	w.t.Helper()
	m, err := w.read()
	if err != nil {
		w.t.Fatal(err)
	}
	return m
}

// silent: nothing comes for a while.
func (w *weir) silent() {
	w.t.Helper()
	w.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	n, err := w.Conn.Read(make([]byte, 1))
	if n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		w.t.Fatalf("%d bytes, %v", n, err)
	}
}

func (w *weir) closed() {
	w.t.Helper()
	if m, err := w.read(); !errors.Is(err, io.EOF) {
		w.t.Fatalf("not closed: %v, %v", m, err)
	}
}

// ask puts one question and takes its decision.
func (w *weir) ask(session uint64, seq uint32, event isToPolicy_Event) *Decision {
	w.t.Helper()
	w.send(session, seq, event)
	return w.decision(session, seq)
}

func (w *weir) decision(session uint64, seq uint32) *Decision {
	w.t.Helper()
	m := w.receive()
	if m.Session != session || m.Seq != seq || m.GetDecision() == nil {
		w.t.Fatalf("no decision for %d/%d: %v", session, seq, m)
	}
	return m.GetDecision()
}

func mail(sender string) *ToPolicy_Mail {
	return &ToPolicy_Mail{&Mail{TransactionId: "01T", Sender: []byte(sender)}}
}

func rcpt(recipient string) *ToPolicy_Rcpt {
	return &ToPolicy_Rcpt{&Rcpt{Recipient: []byte(recipient)}}
}

// headers finds the fields as weir finds them.
func headers(raw string, message uint32) *ToPolicy_Headers {
	h := &Headers{Raw: []byte(raw), Message: message}
	offset := 0
	for _, line := range strings.SplitAfter(raw, "\n") {
		name, _, colon := strings.Cut(line, ":")
		if n := len(h.Fields); n > 0 && line != "" && strings.ContainsAny(line[:1], " \t") {
			h.Fields[n-1].Length += uint32(len(line))
		} else if colon {
			h.Fields = append(h.Fields, &Field{Offset: uint32(offset), Length: uint32(len(line)),
				NameLength: uint32(len(strings.TrimRight(name, " \t")))})
		}
		offset += len(line)
	}
	return &ToPolicy_Headers{h}
}

func equal(t *testing.T, what string, got, expected any) {
	t.Helper()
	if g, e := fmt.Sprint(got), fmt.Sprint(expected); g != e {
		t.Errorf("%s: %s, not %s", what, g, e)
	}
}
