package weirpolicy

import (
	"bytes"
	"context"
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
)

// However small they are.
func TestReadingStopsWhenQuestionsComeFasterThanAnswers(t *testing.T) {
	release := make(chan struct{})
	w := serve(t, slow(release)).connect()
	data, err := proto.Marshal(&ToPolicy{Session: 1, Seq: 1, Event: &ToPolicy_Rcpt{
		&Rcpt{Recipient: []byte("slow")}}})
	if err != nil {
		t.Fatal(err)
	}
	frame := append(binary.BigEndian.AppendUint32(nil, uint32(len(data))), data...)
	many := bytes.Repeat(frame, 10000)
	taken := 0
	for err == nil && taken < 400000 {
		w.SetWriteDeadline(time.Now().Add(2 * time.Second))
		_, err = w.Write(many)
		taken += 10000
	}
	if err == nil {
		t.Errorf("%d questions were taken", taken)
	}
	close(release)
}

// Then the reader waits for the writer, which has given up.
func TestAWeirThatReadsNothingAndLeavesIsGone(t *testing.T) {
	ended := make(chan string, 1)
	p := slow(nil)
	p.SessionEnd = func(_ context.Context, _ *Session, e *SessionEnd) { ended <- e.Cause }
	w := serve(t, p).connect()
	data, err := proto.Marshal(&ToPolicy{Session: 1, Seq: 1, Event: &ToPolicy_Rcpt{
		&Rcpt{Recipient: []byte(strings.Repeat("x", 1000))}}})
	if err != nil {
		t.Fatal(err)
	}
	frame := append(binary.BigEndian.AppendUint32(nil, uint32(len(data))), data...)
	for err == nil {
		w.SetWriteDeadline(time.Now().Add(time.Second))
		_, err = w.Write(bytes.Repeat(frame, 100))
	}
	w.Close()
	select {
	case cause := <-ended:
		equal(t, "cause", cause, "policy connection lost")
	case <-time.After(patience):
		t.Fatal("its session does not end")
	}
}
