package main

import (
	"testing"
	"time"
)

func TestDrawsAreUniformAroundTheMean(t *testing.T) {
	const mean, draws = 25 * time.Millisecond, 10_000
	first := newFirstToken(mean, 0.1)
	least, most, sum := time.Hour, time.Duration(0), time.Duration(0)
	for range draws {
		drawn := first.draw()
		least, most, sum = min(least, drawn), max(most, drawn), sum+drawn
	}
	if least < 22_500*time.Microsecond || least > 22_510*time.Microsecond || most > 27_500*time.Microsecond || most < 27_490*time.Microsecond {
		t.Errorf("drawn from %v to %v", least, most)
	}
	if got := sum / draws; (got - mean).Abs() > 50*time.Microsecond {
		t.Errorf("mean %v", got)
	}
}

func TestEveryRunDrawsTheSame(t *testing.T) {
	one, other := newFirstToken(time.Second, 0.5), newFirstToken(time.Second, 0.5)
	for range 100 {
		if a, b := one.draw(), other.draw(); a != b {
			t.Fatalf("%v and %v", a, b)
		}
	}
}

func TestNoTimeWithoutAMean(t *testing.T) {
	if got := newFirstToken(0, 0.1).draw(); got != 0 {
		t.Errorf("drawn %v", got)
	}
}
