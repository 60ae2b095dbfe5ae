package weirpolicy

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
)

// question is an event that waits for its turn; seq 0 awaits no answer.
type question struct {
	seq      uint32
	phase    Phase
	event    proto.Message
	size     int
	deadline time.Time // zero: weir does not say

	// guarded by conn.mu
	withdrawn bool
	cancel    context.CancelFunc // of its handler, once that is at work
	timer     *time.Timer
}

// runner hands one session's events to their handlers, one after the other.
// It has a goroutine only while there are some. The runners know nothing of
// each other, so that a slow session keeps no other one waiting.
type runner struct {
	conn    *conn
	id      uint64
	session *Session

	message uint32 // Credit: of which message,
	allowed uint64 // and how far weir may go

	// guarded by conn.mu
	waiting []*question
	current *question
	working bool
	ended   bool // SESSION_END waits
}

func newRunner(c *conn, id uint64) *runner {
	r := &runner{conn: c, id: id}
	r.session = &Session{Weir: c.weir, runner: r, bodyLimit: c.policy.bodyLimit()}
	return r
}

// push, withdraw and lost are called with conn.mu held.
func (r *runner) push(q *question) {
	r.waiting = append(r.waiting, q)
	r.conn.backlog += q.size
	if !r.working {
		r.working = true
		r.conn.running.Add(1)
		go r.run()
	}
}

// withdraw ends a question: nobody reads its answer any more.
func (r *runner) withdraw(seq uint32) {
	if seq == 0 {
		return
	}
	for _, q := range append([]*question{r.current}, r.waiting...) {
		if q != nil && q.seq == seq {
			q.withdrawn = true
			if q.cancel != nil {
				q.cancel()
			}
		}
	}
}

// lost: questions need no answer any more, what was told is still told, and
// the session ends.
func (r *runner) lost() {
	for _, q := range append([]*question{r.current}, r.waiting...) {
		if q != nil {
			q.withdrawn = q.seq != 0
			r.ended = r.ended || q.phase == Phase_PHASE_SESSION_END
		}
	}
	if !r.ended {
		r.push(&question{phase: Phase_PHASE_SESSION_END,
			event: &SessionEnd{Cause: "policy connection lost"}})
	}
}

// run works until nothing waits.
func (r *runner) run() {
	defer r.conn.running.Done()
	for {
		q := r.next()
		if q == nil {
			return
		}
		r.session.learn(q.event)
		r.answer(q)
		if body, ok := q.event.(*Body); ok {
			r.credit(body)
		}
		r.session.forget(q.event)
		r.finish(q)
	}
}

func (r *runner) next() *question {
	r.conn.mu.Lock()
	defer r.conn.mu.Unlock()
	if len(r.waiting) == 0 {
		r.working = false
		return nil
	}
	r.current = r.waiting[0]
	r.waiting[0] = nil // the array lives on behind the slice
	r.waiting = r.waiting[1:]
	return r.current
}

func (r *runner) finish(q *question) {
	c := r.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	r.current = nil
	c.backlog -= q.size
	if q.seq != 0 {
		c.settle(1)
	}
	if q.phase == Phase_PHASE_SESSION_END {
		delete(c.runners, r.id)
	}
	c.readable.Signal()
}

// answer asks the handler, and weir gets what it says.
func (r *runner) answer(q *question) {
	_, handled := r.conn.handled[q.phase]
	if !handled && q.seq == 0 {
		return // it only taught the session
	}
	parent := r.conn.ctx
	if parent.Err() != nil {
		parent = context.Background() // told after weir has gone
	}
	ctx, cancel := context.WithCancel(parent)
	defer cancel()
	r.conn.mu.Lock()
	q.cancel = cancel
	withdrawn := q.withdrawn
	r.arm(q)
	r.conn.mu.Unlock()
	if withdrawn {
		return
	}
	decision, err := r.call(ctx, q)

	r.conn.mu.Lock()
	withdrawn = q.withdrawn
	if q.timer != nil {
		q.timer.Stop()
	}
	r.conn.mu.Unlock()
	if q.seq == 0 || withdrawn {
		if err != nil && !errors.Is(err, context.Canceled) {
			r.complain(q, err, "")
		}
		return
	}
	if err == nil {
		if decision == nil {
			decision = relayed
		}
		if err = decision.Check(); err == nil {
			err = r.decide(q, decision)
		}
	}
	if err != nil {
		r.complain(q, err, "; weir's on_error decides")
		r.decide(q, &Decision{Reason: word(fmt.Sprintf("the policy's handler for %s failed: %.200s",
			phaseName(q.phase), err))})
	}
}

var relayed = Relay() // shared: never changed

func (r *runner) decide(q *question, d *Decision) error {
	return r.conn.send(&FromPolicy{Session: r.id, Seq: q.seq,
		Answer: &FromPolicy_Decision{Decision: d}})
}

func (r *runner) complain(q *question, err error, so string) {
	r.conn.policy.logf("session %d: the handler for %s failed: %v%s",
		r.id, phaseName(q.phase), err, so)
}

// call makes an error of a panic.
func (r *runner) call(ctx context.Context, q *question) (d *Decision, err error) {
	defer func() {
		if p := recover(); p != nil {
			r.conn.policy.logf("panic: %v\n%s", p, debug.Stack())
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return r.conn.policy.call(ctx, r.session, q.event)
}

// arm ends the handler when weir has stopped waiting. With conn.mu held.
func (r *runner) arm(q *question) {
	if q.timer != nil {
		q.timer.Stop()
	}
	if q.deadline.IsZero() {
		return
	}
	q.timer = time.AfterFunc(time.Until(q.deadline), func() {
		r.conn.mu.Lock()
		defer r.conn.mu.Unlock()
		if r.current != q || q.withdrawn || time.Until(q.deadline) > 0 {
			return
		}
		r.conn.policy.logf("session %d: no answer at %s before the deadline",
			r.id, phaseName(q.phase))
		r.withdraw(q.seq)
	})
}

// extend asks weir for more time for the present question.
func (r *runner) extend(d time.Duration) {
	c := r.conn
	c.mu.Lock()
	q := r.current
	if q == nil || q.seq == 0 || q.withdrawn {
		c.mu.Unlock()
		return
	}
	if later := time.Now().Add(d); !q.deadline.IsZero() && later.After(q.deadline) {
		q.deadline = later
		r.arm(q)
	}
	c.mu.Unlock()
	c.send(&FromPolicy{Session: r.id, Seq: q.seq,
		Answer: &FromPolicy_Working{Working: &Working{ExtraMs: milliseconds(d)}}})
}

func (r *runner) timeLeft() (time.Duration, bool) {
	r.conn.mu.Lock()
	defer r.conn.mu.Unlock()
	if r.current == nil || r.current.deadline.IsZero() {
		return 0, false
	}
	return time.Until(r.current.deadline), true
}

// credit allows as much again as was taken, in steps of half a window.
func (r *runner) credit(body *Body) {
	window := r.conn.window
	if r.message != body.Message {
		r.message, r.allowed = body.Message, window
	}
	taken := body.Offset + uint64(len(body.Data))
	if r.allowed > taken && r.allowed-taken > window/2 {
		return
	}
	r.allowed = taken + window
	r.conn.send(&FromPolicy{Session: r.id, Answer: &FromPolicy_Credit{
		Credit: &Credit{MaxOffset: r.allowed, Message: body.Message}}})
}

func phaseName(phase Phase) string {
	return strings.TrimPrefix(phase.String(), "PHASE_")
}
