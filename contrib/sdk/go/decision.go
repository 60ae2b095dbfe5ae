package weirpolicy

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strings"
	"time"
)

// Relay lets it pass.
func Relay() *Decision {
	return &Decision{Action: Action_ACTION_RELAY}
}

// Reject refuses for good, with a 5xx code. A text of several lines separates
// them by "\n". Code 0 leaves the reply to weir.
func Reject(code uint32, enhanced, text string) *Decision {
	return refuse(Action_ACTION_REJECT, code, enhanced, text)
}

// Tempfail refuses for now, with a 4xx code: the client tries again.
func Tempfail(code uint32, enhanced, text string) *Decision {
	return refuse(Action_ACTION_TEMPFAIL, code, enhanced, text)
}

// Disconnect answers 421 and closes the connection.
func Disconnect(text string) *Decision {
	return refuse(Action_ACTION_DISCONNECT, 421, "4.7.0", text)
}

// Discard answers 250 and drops it. Needs the grant "discard".
func Discard() *Decision {
	return &Decision{Action: Action_ACTION_DISCARD}
}

func refuse(action Action, code uint32, enhanced, text string) *Decision {
	if code == 0 && text == "" {
		return &Decision{Action: action}
	}
	reply := &SmtpReply{Code: code, Enhanced: enhanced}
	if text != "" {
		for _, line := range strings.Split(text, "\n") {
			reply.Lines = append(reply.Lines, []byte(line))
		}
	}
	return &Decision{Action: action, Reply: reply}
}

// How far a decision reaches, for Decision.For.
const (
	ForCommand     = Scope_SCOPE_COMMAND
	ForTransaction = Scope_SCOPE_TRANSACTION
	ForSession     = Scope_SCOPE_SESSION
)

// The methods below refine a decision, and return it.

// For makes it count for the rest of the transaction or session. After
// Relay().For(ForTransaction) weir does not ask again about this message.
func (d *Decision) For(scope Scope) *Decision {
	d.Scope = scope
	return d
}

// Delay lets the client wait so long for the reply.
func (d *Decision) Delay(t time.Duration) *Decision {
	d.DelayMs = milliseconds(t)
	return d
}

// Because is for weir's record only: the client never sees it.
func (d *Decision) Because(rule, reason string) *Decision {
	d.Rule, d.Reason = word(rule), word(reason)
	return d
}

// Scored is for the record, too.
func (d *Decision) Scored(score float64) *Decision {
	d.Score = score
	return d
}

// Note adds one fact to the record.
func (d *Decision) Note(key, value string) *Decision {
	if d.Annotations == nil {
		d.Annotations = map[string]string{}
	}
	d.Annotations[word(key)] = word(value)
	return d
}

// AddHeader adds a field at the end of the header section. As all edits of
// headers it needs the grant "headers".
func (d *Decision) AddHeader(name, value string) *Decision {
	return d.edit(HeaderEdit_OP_ADD, name, value, 0)
}

// InsertHeader inserts before field number index; 0 is the top.
func (d *Decision) InsertHeader(index uint32, name, value string) *Decision {
	return d.edit(HeaderEdit_OP_INSERT, name, value, index)
}

// ChangeHeader replaces the index-th field of that name, from 0.
func (d *Decision) ChangeHeader(name string, index uint32, value string) *Decision {
	return d.edit(HeaderEdit_OP_CHANGE, name, value, index)
}

// DeleteHeader deletes the index-th field of that name, from 0.
func (d *Decision) DeleteHeader(name string, index uint32) *Decision {
	return d.edit(HeaderEdit_OP_DELETE, name, "", index)
}

func (d *Decision) edit(op HeaderEdit_Op, name, value string, index uint32) *Decision {
	edit := &HeaderEdit{Op: op, Name: []byte(name), Index: index}
	if value != "" {
		edit.Value = []byte(value)
	}
	d.Headers = append(d.Headers, edit)
	return d
}

// Splice replaces remove bytes of the body at offset. Needs the grant "body".
func (d *Decision) Splice(offset, remove uint64, insert []byte) *Decision {
	d.Body = append(d.Body, &Splice{Offset: offset, Remove: remove, Insert: insert})
	return d
}

// RewriteTo changes the sender at MAIL ("" for <>), or the recipient at RCPT.
// Needs the grant "envelope".
func (d *Decision) RewriteTo(address string) *Decision {
	d.Rewrite, d.RewriteSet = []byte(address), true
	return d
}

// Through chooses how weir connects to the MX. Needs the grant "outbound".
func (d *Decision) Through(o *Outbound) *Decision {
	d.Outbound = o
	return d
}

func milliseconds(d time.Duration) uint32 {
	ms := d.Milliseconds()
	if ms < 0 {
		return 0
	}
	if ms > math.MaxUint32 {
		return math.MaxUint32
	}
	return uint32(ms)
}

// word makes text fit for weir's record, which is ASCII: the rest is escaped.
func word(text string) string {
	for i := 0; i < len(text); i++ {
		if text[i] >= 0x80 || text[i] == 0 {
			quoted := fmt.Sprintf("%+q", text)
			return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
		}
	}
	return text
}

var (
	fieldName    = regexp.MustCompile(`^[!-9;-~]+$`)
	enhancedCode = regexp.MustCompile(`^[245]\.\d{1,3}\.\d{1,3}$`)
)

// Check tells what could never be valid. A handler's decision is checked
// before weir gets it; what weir.conf does not grant is weir's to refuse.
func (d *Decision) Check() error {
	if d.Action < Action_ACTION_RELAY || d.Action > Action_ACTION_DISCONNECT {
		return errors.New("the action is missing or unknown")
	}
	if err := d.checkReply(); err != nil {
		return err
	}
	for _, e := range d.Headers {
		if e.Op < HeaderEdit_OP_ADD || e.Op > HeaderEdit_OP_DELETE {
			return errors.New("a header edit without an operation")
		}
		if !fieldName.Match(e.Name) {
			return fmt.Errorf("%q is no name of a header field", e.Name)
		}
		if !folds(string(e.Value)) {
			return fmt.Errorf("a header value folds with CRLF and white space only: %q", e.Value)
		}
	}
	end := uint64(0)
	for _, s := range d.Body {
		if s.Offset < end {
			return errors.New("splices overlap or descend")
		}
		if s.Remove > math.MaxUint64-s.Offset {
			return errors.New("a splice beyond the end")
		}
		if end = s.Offset + s.Remove; bare(string(s.Insert)) {
			return errors.New("a line of the body ends with CRLF")
		}
	}
	if strings.ContainsAny(string(d.Rewrite), "\r\n\x00<>") {
		return fmt.Errorf("%q cannot be an address", d.Rewrite)
	}
	if o := d.Outbound; o != nil && o.SourceAddress != "" && o.SourcePool != "" {
		return errors.New("a source address and a source pool")
	}
	return nil
}

func (d *Decision) checkReply() error {
	r := d.Reply
	if r == nil || r.Code == 0 && r.Enhanced == "" && len(r.Lines) == 0 {
		return nil
	}
	classes := map[Action]uint32{Action_ACTION_REJECT: 5, Action_ACTION_TEMPFAIL: 4,
		Action_ACTION_DISCARD: 2, Action_ACTION_DISCONNECT: 4}
	class := classes[d.Action]
	switch {
	case class == 0:
		return errors.New("a RELAY carries no reply")
	case r.Code/100 != class, d.Action == Action_ACTION_DISCONNECT && r.Code != 421,
		d.Action == Action_ACTION_DISCARD && r.Code != 250:
		return fmt.Errorf("code %d does not fit %v", r.Code, d.Action)
	case r.Enhanced != "" && (!enhancedCode.MatchString(r.Enhanced) ||
		uint32(r.Enhanced[0]-'0') != class):
		return fmt.Errorf("enhanced code %q does not fit %d", r.Enhanced, r.Code)
	case len(r.Lines) > 32:
		return fmt.Errorf("%d lines of text, and 32 are allowed", len(r.Lines))
	}
	for _, line := range r.Lines {
		if len(line) > 510 || strings.ContainsAny(string(line), "\r\n\x00") {
			return fmt.Errorf("%q cannot be a line of a reply", line)
		}
	}
	return nil
}

// bare tells of a CR or LF that is no part of CRLF.
func bare(text string) bool {
	return strings.ContainsAny(strings.ReplaceAll(text, "\r\n", ""), "\r\n")
}

// folds tells whether every CRLF is followed by white space, with no NUL.
func folds(value string) bool {
	for _, next := range strings.Split(value, "\r\n")[1:] {
		if next == "" || next[0] != ' ' && next[0] != '\t' {
			return false
		}
	}
	return !bare(value) && !strings.Contains(value, "\x00")
}
