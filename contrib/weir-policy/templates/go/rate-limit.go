// @NAME@: at most LIMIT (an environment variable, 100) @WHATS@ an hour
// from each @WHO@.
package main

import (
	"context"
	"log"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	weir "weirpolicy"
)

// counts is shared by all sessions.
type counts struct {
	sync.Mutex
	hour int64
	of   map[string]int
}

func (c *counts) add(who string) int {
	c.Lock()
	defer c.Unlock()
	if hour := time.Now().Unix() / 3600; hour != c.hour {
		c.hour, c.of = hour, map[string]int{}
	}
	c.of[who]++
	return c.of[who]
}

func main() {
	limit := 100
	if text, set := os.LookupEnv("LIMIT"); set {
		var err error
		if limit, err = strconv.Atoi(text); err != nil {
			log.Fatal("LIMIT: ", err)
		}
	}
	var seen counts
	count := func(_ context.Context, s *weir.Session, e *weir.@Phase@) (*weir.Decision, error) {
		if n := seen.add(strings.ToLower(@KEY@)); n > limit {
			return weir.Tempfail(451, "4.7.1", "Too many, try again later").
				Because("rate", "").Scored(float64(n)), nil
		}
		return nil, nil
	}
	weir.Main(&weir.Policy{Software: "@NAME@/1.0", @Phase@: count})
}
