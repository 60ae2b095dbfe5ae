// Package weirpolicy serves weir's policy protocol: weir connects, tells what
// happens in SMTP sessions, and does what the handlers of a Policy answer.
// README.md beside this file has an example and a table of everything.
//
//	bytes -> conn -> runner (one per session) -> handler
//	bytes <- conn <-        its decision      <-
//
// The events are the messages of proto/policy.proto, as protoc-gen-go makes
// them. What came off an SMTP wire is []byte, as it came.
package weirpolicy

//go:generate protoc --proto_path=../../../proto --go_out=. --go_opt=paths=source_relative,Mpolicy.proto=./;weirpolicy policy.proto

import (
	"context"
	"crypto/tls"
	"log"
	"math"
	"net"
	"sync"
	"time"
)

// A Handler answers one kind of question. nil, nil is Relay(). An error, and
// a panic, is no answer: it is logged, and weir does what on_error in
// weir.conf says. ctx ends with weir's deadline, with Cancel, and when weir is
// gone; nobody reads the answer then.
type Handler[E any] func(ctx context.Context, s *Session, event E) (*Decision, error)

// A Listener hears of what weir does not wait for.
type Listener[E any] func(ctx context.Context, s *Session, event E)

// Policy is a policy server: its handlers, and how it serves. Everything but
// the version is fixed once it serves.
type Policy struct {
	Software string // its name and version, for weir's log
	Version  string // of its rules, recorded with each decision; see SetVersion

	Connect        Handler[*Connect]
	Upstream       Listener[*Upstream]
	TLS            Listener[*Tls]
	Ehlo           Handler[*Ehlo]
	Auth           Handler[*Auth]
	Command        Handler[*Command]
	Mail           Handler[*Mail]
	Rcpt           Handler[*Rcpt]
	Data           Handler[*Data]
	Headers        Handler[*Headers]
	Body           Handler[*Body] // weir does not wait; see DecideBody
	EndOfMessage   Handler[*EndOfMessage]
	Reply          Listener[*Reply]
	TransactionEnd Listener[*TransactionEnd]
	SessionEnd     Listener[*SessionEnd]

	NotifyOnly []Phase // handlers that only listen: weir does not wait
	DecideBody bool    // weir waits for the answer to each piece of body
	NoContext  bool    // do not hear of the phases before those with a handler

	BodyPrefix  uint64        // at most so many bytes of each body; 0: all
	BodyLimit   int           // kept in Message.Body for EndOfMessage; 0: 10 MiB; below 0: none
	BodyWindow  int           // body bytes per message that weir may send ahead; 0: 256 KiB
	StopTimeout time.Duration // left to handlers at work when the server stops; 0: 5 s
	TLSConfig   *tls.Config   // for Listen("tls:..."); Main fills it from its flags
	Log         *log.Logger   // nil: log.Default()

	mu      sync.Mutex
	conns   map[*conn]struct{}
	serving sync.WaitGroup
}

const (
	defaultBodyLimit   = 10 << 20
	defaultBodyWindow  = 256 << 10
	defaultStopTimeout = 5 * time.Second
)

// The phases, for NotifyOnly.
const (
	PhaseConnect      = Phase_PHASE_CONNECT
	PhaseEhlo         = Phase_PHASE_EHLO
	PhaseAuth         = Phase_PHASE_AUTH
	PhaseCommand      = Phase_PHASE_COMMAND
	PhaseMail         = Phase_PHASE_MAIL
	PhaseRcpt         = Phase_PHASE_RCPT
	PhaseData         = Phase_PHASE_DATA
	PhaseHeaders      = Phase_PHASE_HEADERS
	PhaseEndOfMessage = Phase_PHASE_END_OF_MESSAGE
)

// SetVersion names the present version of the rules; weir is told.
func (p *Policy) SetVersion(version string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if version == p.Version {
		return
	}
	p.Version = version
	for c := range p.conns {
		c.update(version)
	}
}

func (p *Policy) version() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.Version
}

// handled tells for each phase with a handler whether weir waits for it.
func (p *Policy) handled() map[Phase]bool {
	all := map[Phase]struct{ set, decide bool }{
		Phase_PHASE_CONNECT:         {p.Connect != nil, true},
		Phase_PHASE_UPSTREAM:        {p.Upstream != nil, false},
		Phase_PHASE_TLS:             {p.TLS != nil, false},
		Phase_PHASE_EHLO:            {p.Ehlo != nil, true},
		Phase_PHASE_AUTH:            {p.Auth != nil, true},
		Phase_PHASE_COMMAND:         {p.Command != nil, true},
		Phase_PHASE_MAIL:            {p.Mail != nil, true},
		Phase_PHASE_RCPT:            {p.Rcpt != nil, true},
		Phase_PHASE_DATA:            {p.Data != nil, true},
		Phase_PHASE_HEADERS:         {p.Headers != nil, true},
		Phase_PHASE_BODY:            {p.Body != nil, p.DecideBody},
		Phase_PHASE_END_OF_MESSAGE:  {p.EndOfMessage != nil, true},
		Phase_PHASE_REPLY:           {p.Reply != nil, false},
		Phase_PHASE_TRANSACTION_END: {p.TransactionEnd != nil, false},
		Phase_PHASE_SESSION_END:     {p.SessionEnd != nil, false},
	}
	handled := map[Phase]bool{}
	for phase, h := range all {
		if h.set {
			handled[phase] = h.decide
		}
	}
	for _, phase := range p.NotifyOnly {
		if handled[phase] {
			handled[phase] = false
		}
	}
	return handled
}

// subscriptions lists what the handlers need: their phases, and the ones
// before, so that the session knows what happened; as far as weir offers them.
func (p *Policy) subscriptions(offered []Phase) []*Subscription {
	handled := p.handled()
	last := Phase_PHASE_UNSPECIFIED
	for phase := range handled {
		if phase > Phase_PHASE_END_OF_MESSAGE {
			phase = Phase_PHASE_HEADERS // the envelope, but no content
		}
		if phase > last {
			last = phase
		}
	}
	var list []*Subscription
	for phase := Phase_PHASE_CONNECT; phase <= Phase_PHASE_SESSION_END; phase++ {
		decide, wanted := handled[phase]
		sub := &Subscription{Phase: phase, Decide: decide}
		switch {
		case wanted && phase == Phase_PHASE_BODY:
			sub.BodyPrefix = p.BodyPrefix
		case wanted || phase >= Phase_PHASE_TRANSACTION_END:
		case p.NoContext || phase >= last || phase == Phase_PHASE_COMMAND:
			continue
		case phase == Phase_PHASE_BODY:
			if p.bodyLimit() == 0 {
				continue
			}
			sub.BodyPrefix = uint64(p.bodyLimit())
		}
		if offers(offered, phase) {
			list = append(list, sub)
		}
	}
	return list
}

func offers(offered []Phase, phase Phase) bool {
	for _, o := range offered {
		if o == phase {
			return true
		}
	}
	return len(offered) == 0
}

func (p *Policy) bodyLimit() int {
	switch {
	case p.BodyLimit < 0:
		return 0
	case p.BodyLimit == 0:
		return defaultBodyLimit
	}
	return p.BodyLimit
}

func (p *Policy) bodyWindow() uint64 {
	if p.BodyWindow <= 0 {
		return defaultBodyWindow
	}
	return uint64(p.BodyWindow)
}

func (p *Policy) stopTimeout() time.Duration {
	if p.StopTimeout <= 0 {
		return defaultStopTimeout
	}
	return p.StopTimeout
}

func (p *Policy) logf(format string, args ...any) {
	logger := p.Log
	if logger == nil {
		logger = log.Default()
	}
	logger.Printf(format, args...)
}

// Serve serves the connections that l accepts until ctx ends. Then it closes
// l, answers what was asked, for at most StopTimeout, and returns nil.
func (p *Policy) Serve(ctx context.Context, l net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		<-ctx.Done()
		l.Close()
	}()
	wait := time.Millisecond
	for {
		accepted, err := l.Accept()
		switch {
		case err == nil:
			wait = time.Millisecond
			p.start(accepted)
		case ctx.Err() != nil:
			p.stop()
			return nil
		case isTemporary(err): // out of file descriptors, say
			p.logf("%v; trying again", err)
			time.Sleep(wait)
			wait = time.Duration(math.Min(float64(2*wait), float64(time.Second)))
		default:
			return err
		}
	}
}

func (p *Policy) start(accepted net.Conn) {
	c := newConn(p, accepted)
	p.mu.Lock()
	if p.conns == nil {
		p.conns = map[*conn]struct{}{}
	}
	p.conns[c] = struct{}{}
	p.mu.Unlock()
	p.serving.Add(1)
	go func() {
		defer p.serving.Done()
		c.serve()
		p.mu.Lock()
		delete(p.conns, c)
		p.mu.Unlock()
	}()
}

func (p *Policy) stop() {
	p.logf("stopping")
	p.mu.Lock()
	for c := range p.conns {
		c.stop()
	}
	p.mu.Unlock()
	done := make(chan struct{})
	go func() {
		p.serving.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(p.stopTimeout()):
		p.logf("handlers still at work after %v are left alone", p.stopTimeout())
	}
}
