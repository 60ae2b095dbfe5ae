// duplicates stops mass mailings and messages that are sent again and again:
// it counts distinct recipients by sender, subject and body.
package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"log"
	"strings"
	"time"
	"unicode"

	weir "weirpolicy"
)

var (
	length    = flag.Duration("window", time.Hour, "count so far back")
	block     = flag.Duration("block", time.Hour, "what is over a limit is blocked for so long")
	maxKeys   = flag.Int("max", 100000, "so many senders, subjects.. are remembered")
	bySender  = flag.Int("sender", 500, "distinct recipients of one sender")
	bySubject = flag.Int("subject", 200, "distinct recipients of one subject, whoever sends it")
	byBody    = flag.Int("body", 100, "distinct recipients of one body, whoever sends it")
	copies    = flag.Int("copies", 5, "the same body from one sender to one recipient")
	tempfail  = flag.Bool("tempfail", false, "451 instead of 550: the client tries again")
	exempt    = flag.String("exempt", "", "senders that may: `a@b.example,@c.example`")
)

type duplicates struct {
	*windows
	exempt map[string]bool
}

func (d *duplicates) isExempt(sender string) bool {
	return d.exempt[sender] || d.exempt[sender[strings.LastIndexByte(sender, '@')+1:]]
}

// refuse says what the limit was of; the value stays in the record.
func refuse(k key, rule string, left time.Duration) *weir.Decision {
	text := fmt.Sprintf("Too many recipients for this %s, blocked for %d minutes", k.kind,
		int(left.Minutes()+1))
	if k.kind == "copy" {
		text = "This message was sent to this recipient too often"
	}
	decision := weir.Reject(550, "5.7.1", text)
	if *tempfail {
		decision = weir.Tempfail(451, "4.7.1", text)
	}
	return decision.For(weir.ForTransaction).Because(rule, k.value)
}

// mail refuses senders that are blocked.
func (d *duplicates) mail(_ context.Context, s *weir.Session, _ *weir.Mail) (*weir.Decision, error) {
	k := key{"sender", strings.ToLower(s.Sender())}
	if left := d.blocked(k); left > 0 && !d.isExempt(k.value) {
		return refuse(k, "blocked sender", left), nil
	}
	return nil, nil
}

// end counts what is complete, and refuses what is over a limit or blocked.
func (d *duplicates) end(_ context.Context, s *weir.Session, _ *weir.EndOfMessage) (*weir.Decision, error) {
	sender := strings.ToLower(s.Sender())
	if d.isExempt(sender) {
		return nil, nil
	}
	recipients := accepted(s.Transaction)
	decision := weir.Relay()
	for _, c := range d.keysOf(sender, recipients, s.Transaction.Message) {
		if left := d.blocked(c.key); left > 0 {
			return refuse(c.key, "blocked "+c.key.kind, left), nil
		}
		count := d.add(c.key, c.things, c.limit)
		if count > c.limit {
			return refuse(c.key, c.key.kind, *block).Scored(float64(count)), nil
		}
		if c.key.kind != "copy" {
			decision.Note("duplicates."+c.key.kind, fmt.Sprintf("%d of %d", count, c.limit))
		}
	}
	return decision, nil
}

type count struct {
	key    key
	things []string
	limit  int
}

func (d *duplicates) keysOf(sender string, recipients []string, m *weir.Message) []count {
	var counts []count
	body := normal(withoutBoundaries(m.Body))
	if len(body) >= 20 { // "Hello!" is everybody's
		sum := sha256.Sum256([]byte(body))
		hash := hex.EncodeToString(sum[:8])
		for _, r := range recipients {
			counts = append(counts, count{key{"copy", hash + " " + sender + " " + r},
				[]string{fmt.Sprint(time.Now().UnixNano())}, *copies})
		}
		counts = append(counts, count{key{"body", hash}, recipients, *byBody})
	}
	if subject := normal([]byte(m.Headers.Get("Subject"))); len(subject) >= 8 {
		counts = append(counts, count{key{"subject", subject}, recipients, *bySubject})
	}
	if sender != "" {
		counts = append(counts, count{key{"sender", sender}, recipients, *bySender})
	}
	return counts
}

func accepted(t *weir.Transaction) []string {
	var list []string
	for _, index := range t.Accepted {
		for _, r := range t.Recipients {
			if r.Index == index {
				list = append(list, strings.ToLower(string(r.Recipient)))
			}
		}
	}
	return list
}

// normal keeps the letters: "Invoice 4711" and "INVOICE 4712 " are one.
func normal(text []byte) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, string(text))
}

// withoutBoundaries: those of MIME are new in each message.
func withoutBoundaries(body []byte) []byte {
	lines := bytes.SplitAfter(body, []byte("\n"))
	kept := lines[:0]
	for _, line := range lines {
		if !bytes.HasPrefix(line, []byte("--")) && !bytes.Contains(line, []byte("boundary=")) {
			kept = append(kept, line)
		}
	}
	return bytes.Join(kept, nil)
}

// rules are the options that change what is decided, for weir's record.
func rules() string {
	set := []string{"1"}
	flag.Visit(func(f *flag.Flag) {
		if f.Name != "listen" && !strings.HasPrefix(f.Name, "tls-") {
			set = append(set, f.Name+"="+f.Value.String())
		}
	})
	return strings.Join(set, " ")
}

func main() {
	log.SetFlags(0)
	weir.Flags()
	flag.Parse()
	d := &duplicates{newWindows(*length, *block, *maxKeys), map[string]bool{}}
	for _, sender := range strings.Split(strings.ToLower(*exempt), ",") {
		if sender != "" {
			d.exempt[strings.TrimPrefix(sender, "@")] = true
		}
	}
	weir.Main(&weir.Policy{Software: "duplicates/1.0", Version: rules(), BodyLimit: 256 << 10,
		Mail: d.mail, EndOfMessage: d.end})
}
