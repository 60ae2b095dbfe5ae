package weirpolicy

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

type vector struct {
	Name    string
	Frame   string
	Message json.RawMessage
}

func (v *vector) bytes(t *testing.T) []byte {
	frame, err := hex.DecodeString(v.Frame)
	if err != nil {
		t.Fatal(err)
	}
	return frame
}

func (v *vector) parse(t *testing.T, m proto.Message) {
	if err := protojson.Unmarshal(v.Message, m); err != nil {
		t.Fatal(err)
	}
}

// TestGolden reads and writes the frames of tests/golden as conn does.
func TestGolden(t *testing.T) {
	data, err := os.ReadFile("../../../tests/golden/vectors.json")
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("not in weir's source tree")
	}
	var vectors struct {
		ToPolicy   []vector `json:"to_policy"`
		FromPolicy []vector `json:"from_policy"`
		Refused    []vector
	}
	if err == nil {
		err = json.Unmarshal(data, &vectors)
	}
	if err != nil || len(vectors.ToPolicy) < 40 || len(vectors.FromPolicy) < 20 ||
		len(vectors.Refused) < 5 {
		t.Fatal("no vectors:", err)
	}
	for _, v := range vectors.ToPolicy {
		t.Run(v.Name, func(t *testing.T) { reads(t, v) })
	}
	for _, v := range vectors.FromPolicy {
		t.Run(v.Name, func(t *testing.T) { writes(t, v) })
	}
	s := serve(t, slow(nil))
	for _, v := range vectors.Refused {
		w := s.dial()
		w.Write(v.bytes(t))
		w.closed()
	}
	s.logged("a frame that is no message of weir")
}

func unused(t *testing.T) *conn {
	one, other := net.Pipe()
	t.Cleanup(func() { one.Close(); other.Close() })
	return newConn(&Policy{}, one)
}

func reads(t *testing.T, v vector) {
	frame := v.bytes(t)
	got, err := unused(t).frame(bufio.NewReader(bytes.NewReader(frame)), nil)
	if err != nil {
		t.Fatal(err)
	}
	made, expected := new(ToPolicy), new(ToPolicy)
	if err := (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(got, made); err != nil {
		t.Fatal(err)
	}
	v.parse(t, expected)
	if !proto.Equal(made, expected) {
		t.Errorf("%v, not %v", made, expected)
	}
	if _, err := unused(t).frame(bufio.NewReader(bytes.NewReader(frame[:len(frame)-1])),
		nil); err == nil || errors.Is(err, io.EOF) {
		t.Error("a frame that ends early:", err)
	}
}

// again makes a decision with the functions that policies use.
func again(d *Decision) *Decision {
	r := d.GetReply()
	text := string(bytes.Join(r.GetLines(), []byte("\n")))
	made := map[Action]*Decision{Action_ACTION_RELAY: Relay(), Action_ACTION_DISCARD: Discard(),
		Action_ACTION_REJECT:     Reject(r.GetCode(), r.GetEnhanced(), text),
		Action_ACTION_TEMPFAIL:   Tempfail(r.GetCode(), r.GetEnhanced(), text),
		Action_ACTION_DISCONNECT: Disconnect(text), 0: {}}[d.Action]
	made.For(d.Scope).Because(d.Rule, d.Reason).Scored(d.Score)
	made.DelayMs = d.DelayMs
	for _, e := range d.Headers {
		name, value := string(e.Name), string(e.Value)
		switch e.Op {
		case HeaderEdit_OP_ADD:
			made.AddHeader(name, value)
		case HeaderEdit_OP_INSERT:
			made.InsertHeader(e.Index, name, value)
		case HeaderEdit_OP_CHANGE:
			made.ChangeHeader(name, e.Index, value)
		case HeaderEdit_OP_DELETE:
			made.DeleteHeader(name, e.Index)
		}
	}
	for _, s := range d.Body {
		made.Splice(s.Offset, s.Remove, s.Insert)
	}
	if d.RewriteSet {
		made.RewriteTo(string(d.Rewrite))
	}
	if d.Outbound != nil {
		made.Through(d.Outbound)
	}
	for key, value := range d.Annotations {
		made.Note(key, value)
	}
	return made
}

func writes(t *testing.T, v vector) {
	m := new(FromPolicy)
	v.parse(t, m)
	if d := m.GetDecision(); d != nil {
		m.Answer = &FromPolicy_Decision{Decision: again(d)}
	}
	c := unused(t)
	if err := c.send(m); err != nil {
		t.Fatal(err)
	}
	if expected := v.bytes(t); !bytes.Equal(c.out, expected) {
		t.Errorf("%x, not %x", c.out, expected)
	}
}
