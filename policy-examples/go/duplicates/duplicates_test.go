package main

import (
	"fmt"
	"testing"
	"time"
)

func fixed(max int) (*windows, *time.Time) {
	now := time.Unix(1e9, 0)
	w := newWindows(time.Hour, 10*time.Minute, max)
	w.now = func() time.Time { return now }
	return w, &now
}

func TestDistinctInAWindow(t *testing.T) {
	w, now := fixed(100)
	k := key{"sender", "a@b"}
	for i := 0; i < 100; i++ {
		w.add(k, []string{"x", "y"}, 3)
	}
	if count := w.add(k, []string{"z"}, 3); count != 3 || w.blocked(k) != 0 {
		t.Fatal(count, w.blocked(k))
	}
	*now = now.Add(59 * time.Minute)
	w.add(k, []string{"x"}, 3) // again, so it stays
	*now = now.Add(time.Minute)
	if count := w.add(k, []string{"new", "newer"}, 3); count != 3 {
		t.Error("y and z are an hour old:", count)
	}
}

func TestBlocksExpire(t *testing.T) {
	w, now := fixed(100)
	k := key{"sender", "a@b"}
	if count := w.add(k, []string{"x", "y", "z", "u"}, 3); count != 4 {
		t.Error(count)
	}
	if left := w.blocked(k); left != 10*time.Minute {
		t.Error(left)
	}
	*now = now.Add(10 * time.Minute)
	if w.blocked(k) != 0 {
		t.Error("the block is still there")
	}
	if count := w.add(k, []string{"x"}, 3); count != 1 {
		t.Error("it begins anew:", count)
	}
}

func TestWindowsAreBounded(t *testing.T) {
	w, _ := fixed(10)
	for i := 0; i < 1000; i++ {
		w.add(key{"sender", "busy"}, []string{"x"}, 3)
		w.add(key{"sender", fmt.Sprint(i)}, []string{"x"}, 3)
	}
	if w.order.Len() != 10 || len(w.entries) != 10 || w.entries[key{"sender", "busy"}] == nil {
		t.Error(w.order.Len(), len(w.entries))
	}
}

func TestNormal(t *testing.T) {
	if normal([]byte("Your INVOICE #4711!\r\n")) != "yourinvoice" {
		t.Error(normal([]byte("Your INVOICE #4711!\r\n")))
	}
	body := withoutBoundaries([]byte("--x1\r\nHello\r\n--x1--\r\n"))
	if string(body) != "Hello\r\n" {
		t.Errorf("%q", body)
	}
}
