package main

import (
	"fmt"
	"testing"
	"time"
)

func fixed(halfLife time.Duration, max int) (*counters, *time.Time) {
	now := time.Unix(1e9, 0)
	c := newCounters(halfLife, max)
	c.now = func() time.Time { return now }
	return c, &now
}

func TestCountersSlide(t *testing.T) {
	c, now := fixed(time.Hour, 100)
	k := key{"client", "192.0.2.1"}
	c.count(k, 4, 8)
	*now = now.Add(time.Hour)
	c.count(k, 1, 0)
	if good, bad := c.get(k); good != 3 || bad != 4 {
		t.Error(good, bad)
	}
	*now = now.Add(2 * time.Hour)
	if good, bad := c.get(k); good != 0.75 || bad != 1 {
		t.Error(good, bad)
	}
}

func TestCountersAreBoundedAndExpire(t *testing.T) {
	c, now := fixed(time.Hour, 10)
	name := func(i int) key { return key{"sender", fmt.Sprint(i)} }
	for i := 0; i < 1000; i++ {
		c.count(name(0), 1, 0) // touched again and again
		c.count(name(i), 1, 0)
	}
	if good, _ := c.get(name(990)); c.size() != 10 || good != 0 {
		t.Error(c.size(), good)
	}
	if good, _ := c.get(name(0)); good < 1000 {
		t.Error("the busiest was dropped:", good)
	}
	*now = now.Add(20 * time.Hour)
	c.count(name(5000), 1, 0)
	if c.size() != 1 {
		t.Error("what has faded is still there:", c.size())
	}
}

func TestJudge(t *testing.T) {
	c, _ := fixed(time.Hour, 100)
	sender, recipient := key{"sender", "a@b"}, key{"recipient", "c@d"}
	c.count(sender, 0, 1)
	if v := c.judge([]key{sender}); v.score > 20 {
		t.Error("the first bad one counts too much:", v.score)
	}
	c.count(sender, 5, 4)
	c.count(recipient, 0, 15)
	v := c.judge([]key{sender, recipient, {"client", "unknown"}})
	if v.worst != sender || v.score != 100.0/3 || v.seen != 15 || v.rule() != "sender a@b" {
		t.Error(v)
	}
	if fmt.Sprint(v.notes) != "map[reputation.recipient:75 of 15.0 reputation.sender:33 of 10.0]" {
		t.Error(v.notes)
	}
}

func TestKeys(t *testing.T) {
	for _, c := range []struct {
		made     []key
		expected string
	}{
		{clientKeys("::ffff:192.0.2.77"), "[{client 192.0.2.77} {network 192.0.2.0/24}]"},
		{clientKeys("2001:db8:1:2:3::4"), "[{client 2001:db8:1:2:3::4} {network 2001:db8:1:2::/64}]"},
		{clientKeys(""), "[]"},
		{senderKeys("A@B.Example"), "[{sender a@b.example} {domain b.example}]"},
		{senderKeys(""), "[]"},
		{subjectKeys("Your INVOICE #4711!"), "[{subject your invoice}]"},
		{subjectKeys("Hello"), "[]"},
	} {
		if got := fmt.Sprint(c.made); got != c.expected {
			t.Errorf("%s, not %s", got, c.expected)
		}
	}
}
