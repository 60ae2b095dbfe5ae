package main

import (
	"container/list"
	"hash/maphash"
	"sync"
	"time"
)

// A key is something that mail has in common: {"sender", "a@b.example"}.
type key struct{ kind, value string }

// windows remember who got mail of each key lately, and which keys are
// blocked. There are at most max of them; the one that was not touched for
// longest goes first.
type windows struct {
	mu      sync.Mutex
	length  time.Duration // of the window
	block   time.Duration // of a block
	max     int
	now     func() time.Time
	seed    maphash.Seed
	entries map[key]*list.Element
	order   *list.List // of *window, the one touched last in front
}

type window struct {
	key
	seen    map[uint64]time.Time // what was counted, hashed, and when last
	blocked time.Time            // until then
}

func newWindows(length, block time.Duration, max int) *windows {
	return &windows{length: length, block: block, max: max, now: time.Now,
		seed: maphash.MakeSeed(), entries: map[key]*list.Element{}, order: list.New()}
}

// blocked tells how long a key is still blocked; 0 if it is not.
func (w *windows) blocked(k key) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if element := w.entries[k]; element != nil {
		if left := element.Value.(*window).blocked.Sub(w.now()); left > 0 {
			return left
		}
	}
	return 0
}

// add counts things of a key that differ, and blocks the key once there are
// more than limit in the window. It returns how many there are.
func (w *windows) add(k key, things []string, limit int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.now()
	e := w.touch(k)
	for _, thing := range things {
		e.seen[maphash.String(w.seed, thing)] = now
	}
	if len(e.seen) > limit { // some may be too old
		for thing, when := range e.seen {
			if now.Sub(when) >= w.length {
				delete(e.seen, thing)
			}
		}
	}
	count := len(e.seen)
	if count > limit {
		e.blocked, e.seen = now.Add(w.block), map[uint64]time.Time{}
	}
	return count
}

func (w *windows) touch(k key) *window {
	element := w.entries[k]
	if element == nil {
		element = w.order.PushFront(&window{key: k, seen: map[uint64]time.Time{}})
		w.entries[k] = element
		if w.order.Len() > w.max {
			last := w.order.Back()
			delete(w.entries, w.order.Remove(last).(*window).key)
		}
	}
	w.order.MoveToFront(element)
	return element.Value.(*window)
}
