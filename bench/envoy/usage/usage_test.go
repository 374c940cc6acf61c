package usage

import "testing"

func TestEveryTwoPieceSplit(t *testing.T) {
	want := Tokens{Prompt: 11, Completion: 7}
	answers := map[string]string{
		"json":   `{"id":"x","choices":[{"message":{"content":"\"usage\":{}"}}],"usage":{"prompt_tokens":11,"completion_tokens":7}}`,
		"events": "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":7}}\n\ndata: [DONE]\n\n",
	}
	for name, answer := range answers {
		for cut := 0; cut <= len(answer); cut++ {
			var reader Reader
			reader.Write([]byte(answer[:cut]))
			reader.Write([]byte(answer[cut:]))
			if got := reader.Finish(); got != want {
				t.Fatalf("%s cut at %d: got %+v", name, cut, got)
			}
		}
	}
}

func TestNoUsage(t *testing.T) {
	for _, answer := range []string{"", "{", `{"usage":null}`, "data: {\"usage\":null}\n\n", "plain"} {
		var reader Reader
		reader.Write([]byte(answer))
		if got := reader.Finish(); got != (Tokens{}) {
			t.Fatalf("%q: got %+v", answer, got)
		}
	}
}
