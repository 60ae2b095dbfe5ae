package main

import (
	"container/list"
	"math"
	"sync"
	"time"
)

// A key is what a reputation is of: {"client", "192.0.2.1"}.
type key struct{ kind, value string }

// counters slide: what was counted a half-life ago weighs half. There are at
// most max of them; the one that was not touched for longest goes first.
type counters struct {
	mu       sync.Mutex
	halfLife time.Duration
	max      int
	now      func() time.Time
	entries  map[key]*list.Element
	order    *list.List // of *entry, the one touched last in front
}

type entry struct {
	key
	good, bad float64
	touched   time.Time
}

// A key with less than this is as good as forgotten.
const nothing = 0.05

func newCounters(halfLife time.Duration, max int) *counters {
	return &counters{halfLife: halfLife, max: max, now: time.Now,
		entries: map[key]*list.Element{}, order: list.New()}
}

// fade takes off what time has taken.
func (c *counters) fade(e *entry, now time.Time) {
	factor := math.Exp2(-float64(now.Sub(e.touched)) / float64(c.halfLife))
	e.good, e.bad, e.touched = e.good*factor, e.bad*factor, now
}

// count adds to a key.
func (c *counters) count(k key, good, bad float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	element := c.entries[k]
	if element == nil {
		element = c.order.PushFront(&entry{key: k, touched: now})
		c.entries[k] = element
	}
	e := element.Value.(*entry)
	c.fade(e, now)
	e.good, e.bad = e.good+good, e.bad+bad
	c.order.MoveToFront(element)
	c.expire(now)
}

// expire drops what has faded, and what is too much.
func (c *counters) expire(now time.Time) {
	for {
		last := c.order.Back()
		e := last.Value.(*entry)
		left := (e.good + e.bad) * math.Exp2(-float64(now.Sub(e.touched))/float64(c.halfLife))
		if c.order.Len() <= c.max && left >= nothing {
			return
		}
		delete(c.entries, e.key)
		c.order.Remove(last)
		if c.order.Len() == 0 {
			return
		}
	}
}

// get is what a key counts now.
func (c *counters) get(k key) (good, bad float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	element := c.entries[k]
	if element == nil {
		return 0, 0
	}
	e := *element.Value.(*entry)
	c.fade(&e, c.now())
	return e.good, e.bad
}

func (c *counters) size() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.order.Len()
}
