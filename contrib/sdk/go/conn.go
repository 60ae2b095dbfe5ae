package weirpolicy

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"
)

const (
	handshakeFrameMax = 64 << 10
	frameMax          = 16 << 20 // whatever weir offers
	handshakeTime     = 10 * time.Second
	stopGrace         = 50 * time.Millisecond

	// When handlers are slower than that, or weir does not read, nothing more
	// is read. Body credit makes weir pause single sessions long before.
	backlogMax = 64 << 20
	eventCost  = 512 // memory of an event, however small its frame
	outMax     = 1 << 20
)

// conn is one connection from weir: handshake, frames, and its sessions.
type conn struct {
	policy *Policy
	net    net.Conn
	ctx    context.Context // of all handlers
	cancel context.CancelFunc
	window uint64
	limit  int // of a frame, in both directions

	weir    *Hello // nil before it
	handled map[Phase]bool

	mu         sync.Mutex // guards what follows, and the runners' queues
	readable   sync.Cond  // less backlog, less output, or closing
	writable   sync.Cond  // output, or closing
	out        []byte
	backlog    int // bytes of events that wait for their handlers
	runners    map[uint64]*runner
	running    sync.WaitGroup
	unanswered int
	version    string // that weir knows
	ready      bool
	stopping   bool
	closing    bool
}

func newConn(p *Policy, accepted net.Conn) *conn {
	c := &conn{policy: p, net: accepted, window: p.bodyWindow(), limit: handshakeFrameMax,
		handled: p.handled(), runners: map[uint64]*runner{}}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.readable.L, c.writable.L = &c.mu, &c.mu
	return c
}

// serve returns when weir is gone and every handler has returned.
func (c *conn) serve() {
	written := make(chan struct{})
	go func() {
		c.write()
		close(written)
	}()
	c.net.SetReadDeadline(time.Now().Add(handshakeTime))
	err := c.read()
	c.mu.Lock()
	expected := c.closing || errors.Is(err, io.EOF)
	open := len(c.runners)
	c.close()
	c.mu.Unlock()
	switch {
	case !expected:
		c.policy.logf("closing weir's connection: %v", err)
	case open > 0:
		c.policy.logf("weir's connection is gone, with %d sessions open", open)
	}
	<-written
	c.lost()
	c.running.Wait()
}

// lost ends whatever is open, and the sessions with it.
func (c *conn) lost() {
	c.cancel()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.runners {
		r.lost()
	}
}

// ---------------------------------------------------------------- output

// send queues one message. It reports whether it fits into a frame.
func (c *conn) send(m *FromPolicy) error {
	data, err := proto.Marshal(m)
	if err != nil {
		return err
	}
	if len(data) > c.limit {
		return fmt.Errorf("an answer of %d bytes, and %d are allowed", len(data), c.limit)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closing {
		c.out = binary.BigEndian.AppendUint32(c.out, uint32(len(data)))
		c.out = append(c.out, data...)
		c.writable.Signal()
	}
	return nil
}

// write sends what is queued, all there is in one call, until the end.
func (c *conn) write() {
	defer c.net.Close()
	var batch []byte
	for {
		c.mu.Lock()
		for len(c.out) == 0 && !c.closing {
			c.writable.Wait()
		}
		batch, c.out = c.out, batch[:0]
		c.readable.Signal()
		c.mu.Unlock()
		if len(batch) == 0 {
			return
		}
		if _, err := c.net.Write(batch); err != nil {
			c.mu.Lock()
			c.close() // the reader may wait for what is written
			c.mu.Unlock()
			return
		}
		if cap(batch) > outMax {
			batch = nil
		}
	}
}

// close lets go of the connection once what is queued is written.
func (c *conn) close() {
	if !c.closing {
		c.closing = true
		c.net.SetReadDeadline(time.Now())
		c.net.SetWriteDeadline(time.Now().Add(time.Second))
		c.readable.Signal()
		c.writable.Signal()
	}
}

// stop closes when all that was asked is answered.
func (c *conn) stop() {
	time.AfterFunc(stopGrace, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.stopping = true
		c.settle(0)
	})
	time.AfterFunc(c.policy.stopTimeout(), func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.close()
	})
}

// settle counts questions that need no answer any more.
func (c *conn) settle(n int) {
	c.unanswered -= n
	if c.stopping && c.unanswered == 0 {
		c.close()
	}
}

// update tells weir the present version; what comes before Ready waits for it.
func (c *conn) update(version string) {
	c.mu.Lock()
	due := c.ready && c.version != version
	if due {
		c.version = version
	}
	c.mu.Unlock()
	if due {
		c.send(&FromPolicy{Answer: &FromPolicy_Update{Update: &Update{
			Version: word(version), Subscriptions: c.policy.subscriptions(c.weir.Phases)}}})
	}
}

// ----------------------------------------------------------------- input

func (c *conn) read() error {
	in := bufio.NewReaderSize(c.net, 64<<10)
	var buffer []byte
	for {
		frame, err := c.frame(in, buffer)
		if err != nil {
			return err
		}
		buffer = frame
		m := new(ToPolicy)
		if err := proto.Unmarshal(frame, m); err != nil {
			return fmt.Errorf("a frame that is no message of weir: %.16q", frame)
		}
		if err := c.take(m, eventCost+len(frame)); err != nil {
			return err
		}
		if !c.mayRead() {
			return net.ErrClosed
		}
	}
}

// frame reads one, into buffer if it is large enough.
func (c *conn) frame(in *bufio.Reader, buffer []byte) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, errors.New("weir left in the middle of a frame")
		}
		return nil, err
	}
	length := binary.BigEndian.Uint32(head[:])
	if uint64(length) > uint64(c.limit) {
		more, _ := in.Peek(in.Buffered()) // what is here: waits for no more
		if len(more) > 12 {
			more = more[:12]
		}
		return nil, fmt.Errorf("a frame of %d bytes where %d are allowed; it begins with %q",
			length, c.limit, append(head[:], more...))
	}
	if cap(buffer) < int(length) || cap(buffer) > 4*handshakeFrameMax {
		buffer = make([]byte, length)
	}
	buffer = buffer[:length]
	if _, err := io.ReadFull(in, buffer); err != nil {
		return nil, errors.New("weir left in the middle of a frame")
	}
	return buffer, nil
}

func (c *conn) mayRead() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.closing && (c.backlog > backlogMax || len(c.out) > outMax) {
		c.readable.Wait()
	}
	return !c.closing
}

func (c *conn) take(m *ToPolicy, size int) error {
	switch e := m.Event.(type) {
	case *ToPolicy_Hello:
		if c.weir == nil {
			return c.hello(e.Hello)
		}
	case *ToPolicy_Ready:
		if c.weir != nil && !c.ready {
			return c.begin(e.Ready)
		}
	case *ToPolicy_Ping:
		if c.ready {
			return c.send(&FromPolicy{Answer: &FromPolicy_Pong{
				Pong: &Pong{Token: e.Ping.Token}}})
		}
	case *ToPolicy_Drain:
		c.mu.Lock()
		defer c.mu.Unlock()
		c.policy.logf("weir drains: %d sessions are open", len(c.runners))
		return nil
	case *ToPolicy_Cancel:
		c.mu.Lock()
		defer c.mu.Unlock()
		if r := c.runners[m.Session]; r != nil {
			r.withdraw(e.Cancel.Seq)
		}
		return nil
	default:
		phase, event := eventOf(m)
		if event == nil {
			return nil // of a later version: we did not ask for it
		}
		if c.ready {
			return c.event(m, phase, event, size)
		}
	}
	if c.ready {
		return nil
	}
	return fmt.Errorf("%T came before its time in the handshake", m.Event)
}

func (c *conn) hello(hello *Hello) error {
	if hello.Major != 1 {
		return fmt.Errorf("%s speaks version %d of the protocol, and this is version 1",
			hello.Software, hello.Major)
	}
	c.weir = hello
	limit := frameMax
	if hello.MaxFrame != 0 && hello.MaxFrame < frameMax {
		limit = int(hello.MaxFrame)
	}
	c.version = c.policy.version()
	welcome := &Welcome{Major: 1, Software: word(c.policy.Software),
		Version: word(c.version), MaxFrame: uint32(limit),
		Subscriptions: c.policy.subscriptions(hello.Phases)}
	for _, s := range welcome.Subscriptions {
		if s.Phase == Phase_PHASE_BODY {
			welcome.BodyCredit = c.window
		}
	}
	err := c.send(&FromPolicy{Answer: &FromPolicy_Welcome{Welcome: welcome}})
	c.limit = limit
	return err
}

func (c *conn) begin(ready *Ready) error {
	c.net.SetReadDeadline(time.Time{})
	c.mu.Lock()
	c.ready = true
	if c.closing {
		c.net.SetReadDeadline(time.Now())
	}
	c.mu.Unlock()
	c.policy.logf("connected: %s, policy %q", c.weir.Software, c.weir.Policy)
	c.update(c.policy.version())
	for _, phase := range ready.Refused {
		c.policy.logf("weir refused a subscription: %s", phase)
	}
	return nil
}

func (c *conn) event(m *ToPolicy, phase Phase, event proto.Message, size int) error {
	if m.Session == 0 {
		return fmt.Errorf("%s without a session", phaseName(phase))
	}
	q := &question{seq: m.Seq, phase: phase, event: event, size: size}
	if m.Seq != 0 && m.DeadlineMs != 0 {
		q.deadline = time.Now().Add(time.Duration(m.DeadlineMs) * time.Millisecond)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if m.Seq != 0 {
		c.unanswered++
	}
	r := c.runners[m.Session]
	if r == nil {
		r = newRunner(c, m.Session)
		c.runners[m.Session] = r
	}
	r.push(q)
	return nil
}
