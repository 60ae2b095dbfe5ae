// reputation rejects or delays by what became of earlier mail, and chooses the
// source pool of each client by it.
package main

import (
	"context"
	"flag"
	"log"
	"math"
	"strings"
	"time"

	weir "weirpolicy"
)

var (
	halfLife = flag.Duration("half-life", 6*time.Hour, "what is older than that weighs half")
	maxKeys  = flag.Int("max", 200000, "so many senders, clients.. are remembered")
	rejectAt = flag.Float64("reject", 75, "refuse from this score on (0 to 100)")
	delayAt  = flag.Float64("slow", 40, "delay the reply from this score on")
	delayBy  = flag.Duration("delay", 5*time.Second, "by so much")
	dirtyAt  = flag.Float64("dirty", 30, "the last of -pools from this score of the client on")
	cleanAt  = flag.Float64("clean", 5, "the first of -pools up to this score..")
	known    = flag.Float64("known", 20, "..for clients with so many messages")
	pools    = flag.String("pools", "", "source pools of weir.conf: clean,normal,dirty")
)

type reputation struct {
	*counters
	pools []string // clean, normal, dirty; or none
}

// state is what a session remembers between its events.
type state struct {
	client  []key
	keys    []key // of the present message
	slowed  key   // why it was delayed
	refused bool  // recipients, by the MX
}

func of(s *weir.Session) *state {
	if s.State == nil {
		s.State = &state{client: clientKeys(s.ClientAddress())}
	}
	return s.State.(*state)
}

func (r *reputation) connect(_ context.Context, s *weir.Session, _ *weir.Connect) (*weir.Decision, error) {
	if r.pools == nil {
		return nil, nil
	}
	v := r.judge(of(s).client)
	pool := r.pools[1]
	if v.score >= *dirtyAt {
		pool = r.pools[2]
	} else if v.score <= *cleanAt && math.Round(v.seen) >= *known {
		pool = r.pools[0]
	}
	return noted(weir.Relay(), v).Through(&weir.Outbound{SourcePool: pool}), nil
}

func (r *reputation) mail(_ context.Context, s *weir.Session, _ *weir.Mail) (*weir.Decision, error) {
	st := of(s)
	*st = state{client: st.client}
	st.keys = append(senderKeys(s.Sender()), st.client...)
	return r.decide(st), nil
}

func (r *reputation) headers(_ context.Context, s *weir.Session, h *weir.Headers) (*weir.Decision, error) {
	st := of(s)
	st.keys = append(st.keys, subjectKeys(h.Get("Subject"))...)
	for _, index := range s.Transaction.Accepted {
		for _, rcpt := range s.Transaction.Recipients {
			if rcpt.Index == index {
				st.keys = append(st.keys, recipientKeys(rcpt.Recipient)...)
			}
		}
	}
	return r.decide(st), nil
}

func (r *reputation) decide(st *state) *weir.Decision {
	v := r.judge(st.keys)
	switch {
	case v.score >= *rejectAt:
		return noted(weir.Reject(550, "5.7.1", "Too much of this mail was refused lately").
			For(weir.ForTransaction), v)
	case v.score >= *delayAt && v.worst != st.slowed: // once for each reason
		st.slowed = v.worst
		return noted(weir.Relay().Delay(*delayBy), v)
	}
	return noted(weir.Relay(), v)
}

func noted(d *weir.Decision, v verdict) *weir.Decision {
	d.Because(v.rule(), "").Scored(v.score)
	for name, value := range v.notes {
		d.Note(name, value)
	}
	return d
}

// reply counts recipients that the MX does not know.
func (r *reputation) reply(_ context.Context, s *weir.Session, e *weir.Reply) {
	if e.Phase != weir.Phase_PHASE_RCPT || e.GetReply().GetCode()/100 != 5 || s.Transaction == nil {
		return
	}
	of(s).refused = true
	for _, k := range of(s).keys {
		r.count(k, 0, 1)
	}
	for _, rcpt := range s.Transaction.Recipients {
		if rcpt.Index == e.Index {
			r.count(recipientKeys(rcpt.Recipient)[0], 0, 1)
		}
	}
}

// end counts what became of a message.
func (r *reputation) end(_ context.Context, s *weir.Session, e *weir.TransactionEnd) {
	st := of(s)
	good, bad := 0.0, 0.0
	switch e.Outcome {
	case weir.Outcome_OUTCOME_DELIVERED:
		good = 1
	case weir.Outcome_OUTCOME_REJECTED:
		bad = 1
	case weir.Outcome_OUTCOME_DEFERRED:
		bad = 0.2
	}
	own := e.OwnDecisionApplied && bad > 0 // says nothing new
	counted := st.refused && (s.Transaction == nil || s.Transaction.Message == nil)
	if own || counted || good+bad == 0 {
		return
	}
	for _, k := range st.keys {
		r.count(k, good, bad)
	}
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
	r := &reputation{counters: newCounters(*halfLife, *maxKeys)}
	if *pools != "" {
		if r.pools = strings.Split(*pools, ","); len(r.pools) != 3 {
			log.Fatal("-pools wants three names: clean,normal,dirty")
		}
	}
	weir.Main(&weir.Policy{Software: "reputation/1.0", Version: rules(),
		Connect: r.connect, Mail: r.mail, Headers: r.headers, Reply: r.reply, TransactionEnd: r.end})
}
