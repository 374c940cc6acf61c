package main

import (
	"fmt"
	"strings"
	"testing"
)

func chat(text string) []byte {
	return fmt.Appendf(nil, `{"messages":[{"role":"user","content":%q}],"model":"m"}`, text)
}

func TestLongerConversationsFollowShorterOnes(t *testing.T) {
	picker, buffer := newEndpointPicker([]string{"a", "b", "c"}), new(scratch)
	text := strings.Repeat("who has the beginning of this? ", 100)
	first := picker.pick(chat(text), buffer)
	other := picker.pick(chat("something else: "+text), buffer)
	if other == first {
		t.Errorf("a prompt that nobody has seen went to %d, which is busy", other)
	}
	if got := picker.pick(chat(text+"and more"), buffer); got != first {
		t.Errorf("the next turn went to %d, want %d", got, first)
	}
	for range slack + 1 {
		picker.pick(chat(text), buffer)
	}
	if got := picker.pick(chat(text), buffer); got == first {
		t.Errorf("%d gets more with %v in flight", got, picker.inflight)
	}
}

func TestOnlyAskedPrefixesAreKept(t *testing.T) {
	picker, buffer := newEndpointPicker([]string{"a", "b"}), new(scratch)
	kept := strings.Repeat("kept ", 400)
	first := picker.pick(chat(kept), buffer)
	picker.done(first)
	for turn := range 300 {
		picker.done(picker.pick(chat(strings.Repeat(fmt.Sprint("turn ", turn, " "), 3_000)), buffer))
		if len(picker.young)+len(picker.old) > 3*maxPrefixes {
			t.Fatalf("%d prefixes", len(picker.young)+len(picker.old))
		}
		if turn%10 == 0 {
			slot := picker.pick(chat(kept), buffer)
			picker.done(slot)
			if slot != first {
				t.Fatalf("turn %d: forgotten, although it is asked for", turn)
			}
		}
	}
}

func BenchmarkPick(b *testing.B) {
	picker, buffer := newEndpointPicker([]string{"a", "b", "c", "d"}), new(scratch)
	body := chat(strings.Repeat("Some \"text\" of a prompt,\nwith a few escapes. ", 5_000))
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		picker.done(picker.pick(body, buffer))
	}
}

func TestHashesDependOnAllThatStandsBefore(t *testing.T) {
	picker := newEndpointPicker([]string{"a"})
	block := func(letters string) []byte {
		var text []byte
		for _, letter := range letters {
			text = append(text, strings.Repeat(string(letter), blockBytes)...)
		}
		return text
	}
	one, other, longer := picker.appendChain(nil, block("abc")), picker.appendChain(nil, block("xbc")), picker.appendChain(nil, block("abcd")[:4*blockBytes-1])
	for index := range one {
		if one[index] == other[index] || one[index] != longer[index] {
			t.Errorf("block %d: %x, behind something else %x, of a longer prompt %x", index, one[index], other[index], longer[index])
		}
	}
	if len(longer) != 3 {
		t.Errorf("%d blocks", len(longer))
	}
}

func TestOnlyWhatIsSeenFromTheBeginningCounts(t *testing.T) {
	picker := newEndpointPicker([]string{"a", "b"})
	picker.inflight[1] = 1
	picker.young = map[uint64]uint64{1: 1, 2: 2, 3: 2}
	picker.old = map[uint64]uint64{4: 2}
	if got := picker.best([]uint64{1, 2, 3, 4}); got != 0 {
		t.Errorf("picked %d, which has not seen the beginning", got)
	}
	if got := picker.best([]uint64{2, 3, 4}); got != 1 {
		t.Errorf("picked %d, which has seen nothing", got)
	}
	picker.learn(0, []uint64{4})
	if got := picker.seenBy(4); got != 3 {
		t.Errorf("seen by %b", got)
	}
}
