package main

import (
	"math/rand/v2"
	"sync"
	"time"
)

// firstToken draws how long a replica takes to its first event: mean, give or take a share of it, uniformly. The seed is fixed, so every run draws the same
// times in the same order. Each request draws anew, whichever Envoy it came through: a client cannot have the same moment of a replica twice either.
type firstToken struct {
	mean   time.Duration
	jitter float64
	mutex  sync.Mutex
	random *rand.Rand
}

func newFirstToken(mean time.Duration, jitter float64) *firstToken {
	return &firstToken{mean: mean, jitter: jitter, random: rand.New(rand.NewPCG(1, 1))}
}

func (f *firstToken) draw() time.Duration {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	return time.Duration(float64(f.mean) * (1 + f.jitter*(2*f.random.Float64()-1)))
}
