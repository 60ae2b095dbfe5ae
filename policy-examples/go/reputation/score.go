package main

import (
	"fmt"
	"net/netip"
	"strings"
	"unicode"
)

// How much a bad reputation of each kind says about a message: others use the
// same network, and write to the same recipient.
var weights = map[string]float64{"sender": 1, "client": 1, "subject": 0.9, "domain": 0.7,
	"network": 0.6, "recipient": 0.4}

// The first bad event of somebody new says little: as if so many good ones
// had been before.
const benefit = 5

// score is from 0 to 100, the share of what went badly.
func score(good, bad float64) float64 {
	return 100 * bad / (good + bad + benefit)
}

// A verdict is the worst of several reputations.
type verdict struct {
	score float64
	worst key
	seen  float64 // events behind the best-known key
	notes map[string]string
}

func (c *counters) judge(keys []key) verdict {
	v := verdict{notes: map[string]string{}}
	worst := map[string]float64{}
	for _, k := range keys {
		good, bad := c.get(k)
		weighted := weights[k.kind] * score(good, bad)
		if weighted > v.score {
			v.score, v.worst = weighted, k
		}
		if good+bad > v.seen {
			v.seen = good + bad
		}
		if s := score(good, bad); good+bad >= nothing && s >= worst[k.kind] {
			worst[k.kind] = s
			v.notes["reputation."+k.kind] = fmt.Sprintf("%.0f of %.1f", s, good+bad)
		}
	}
	return v
}

func (v verdict) rule() string {
	if v.worst.kind == "" {
		return ""
	}
	return v.worst.kind + " " + v.worst.value
}

// clientKeys are the client and its network: /24, or /64 of IPv6.
func clientKeys(address string) []key {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return nil
	}
	ip = ip.Unmap().WithZone("")
	bits := 64
	if ip.Is4() {
		bits = 24
	}
	network, _ := ip.Prefix(bits)
	return []key{{"client", ip.String()}, {"network", network.String()}}
}

// senderKeys of <> are none: bounces have the reputation of their client.
func senderKeys(sender string) []key {
	sender = strings.ToLower(sender)
	at := strings.LastIndexByte(sender, '@')
	if at < 0 {
		return nil
	}
	return []key{{"sender", sender}, {"domain", sender[at+1:]}}
}

// subjectKeys makes one of "Invoice 4711" and "invoice 4712".
func subjectKeys(subject string) []key {
	words := strings.FieldsFunc(strings.ToLower(subject), func(r rune) bool {
		return !unicode.IsLetter(r)
	})
	text := strings.Join(words, " ")
	if len(text) < 8 {
		return nil // "hello" is everybody's
	}
	if len(text) > 100 {
		text = strings.ToValidUTF8(text[:100], "")
	}
	return []key{{"subject", text}}
}

func recipientKeys(recipient []byte) []key {
	return []key{{"recipient", strings.ToLower(string(recipient))}}
}
