package main

import (
	"testing"
	"time"
)

func TestQuantile(t *testing.T) {
	times := make([]time.Duration, 100)
	for index := range times {
		times[index] = time.Duration(index+1) * time.Microsecond
	}
	for share, want := range map[float64]float64{0: 1, 0.5: 50, 0.99: 99, 1: 100} {
		if got := quantile(times, share); got != want {
			t.Errorf("quantile %v of 1..100 µs is %v, want %v", share, got, want)
		}
	}
	if got := quantile(times[:1], 0.99); got != 1 {
		t.Errorf("of one value: %v", got)
	}
}
